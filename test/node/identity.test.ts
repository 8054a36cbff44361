import { Effect, Exit, Fiber, Layer } from "effect"
import { describe, expect, test } from "vitest"
import { MemoryDisk } from "../../sim/Disk.ts"
import { layer as entropyLayer } from "../../sim/Entropy.ts"
import { seededRandom } from "../../sim/Random.ts"
import { fromUtf8, toUtf8 } from "../../src/base/bytes.ts"
import { Disk } from "../../src/ports/Disk.ts"
import type { Entropy } from "../../src/ports/Entropy.ts"
import { type Credentials, openCredentials } from "../../src/node/Credentials.ts"
import { markFolder, openFolder, replaceFile, sweepFolder } from "../../src/node/Folder.ts"
import { resolveSettings } from "../../src/node/Settings.ts"
import { changeVaultSecret, createVault, openVaultFile } from "../../src/node/VaultFile.ts"

type Ports = Disk | Entropy

const on = (disk: MemoryDisk, seed: number) => Layer.mergeAll(disk.layer, entropyLayer(seededRandom(seed)))

const run = <A, E>(disk: MemoryDisk, effect: Effect.Effect<A, E, Ports>, seed = 1): Promise<Exit.Exit<A, E>> =>
  Effect.runPromiseExit(Effect.provide(effect, on(disk, seed)))

const succeed = async <A, E>(disk: MemoryDisk, effect: Effect.Effect<A, E, Ports>, seed = 1): Promise<A> => {
  const exit = await run(disk, effect, seed)
  if (Exit.isFailure(exit)) throw new Error(String(exit.cause))
  return exit.value
}

const failure = async <A, E>(disk: MemoryDisk, effect: Effect.Effect<A, E, Ports>): Promise<string> => {
  const exit = await run(disk, effect)
  return Exit.isFailure(exit) ? String(exit.cause) : "succeeded"
}

const settingsOf = (env: Record<string, string> = {}) => Effect.runSync(resolveSettings({}, env, undefined))

/** What a start does before it opens anything large, as in Node.ts. */
const start = (env: Record<string, string> = {}) => Effect.gen(function* () {
  const settings = settingsOf(env)
  const folder = yield* openFolder(1000)
  const vault = folder.fresh ? yield* createVault(folder, settings.passphrase) : yield* openVaultFile(folder, settings.passphrase)
  const credentials: Credentials = yield* openCredentials(settings)
  if (folder.fresh) yield* markFolder(folder)
  return { folder, vault, credentials }
})

describe("the identity of a data folder", () => {
  test("what a killed run left half done is swept, and nothing else", async () => {
    const disk = new MemoryDisk()
    await succeed(disk, start())
    const write = (name: string) => Effect.flatMap(Disk, (service) => replaceFile(service, name, toUtf8("x")))
    await succeed(disk, Effect.forEach(["keyring.new", "scrub.json.new", "doctor-12.new", "letters.new", "notes"], write))
    const before = await succeed(disk, Effect.flatMap(Disk, (service) => service.list("")))
    expect(await succeed(disk, sweepFolder())).toEqual(["doctor-12.new", "keyring.new", "scrub.json.new"])
    expect(await succeed(disk, sweepFolder())).toEqual([])
    const after = await succeed(disk, Effect.flatMap(Disk, (service) => service.list("")))
    expect(before.filter((name) => !after.includes(name))).toEqual(["doctor-12.new", "keyring.new", "scrub.json.new"])
    expect((await succeed(disk, start())).folder.fresh).toBe(false)
  })

  test("a first start makes it, a second finds the same", async () => {
    const disk = new MemoryDisk()
    const first = await succeed(disk, start(), 1)
    const second = await succeed(disk, start(), 2)
    expect(first.folder.fresh).toBe(true)
    expect(second.folder.fresh).toBe(false)
    expect(second.vault.keys.master).toEqual(first.vault.keys.master)
    expect(second.credentials).toEqual({ ...first.credentials, origin: "File" })
    expect(first.credentials.origin).toBe("Made")
  })

  test("a power cut at any disk operation of a first start: the next start works, and what it made lasts", async () => {
    const counted = new MemoryDisk()
    await succeed(counted, start())
    for (let stop = 0; stop <= counted.operations; stop += 1) {
      const random = seededRandom(stop)
      const disk = new MemoryDisk()
      disk.stopAfter(stop)
      const fiber = Effect.runFork(Effect.provide(start(), on(disk, stop)))
      await new Promise((resolve) => setTimeout(resolve, 2))
      const after = disk.crash(random)
      const again = await succeed(after, start(), 100 + stop)
      const third = await succeed(after.crash(random), start(), 200 + stop)
      expect(third.vault.keys.master, `stopped after ${stop}`).toEqual(again.vault.keys.master)
      expect(third.credentials.secretKey).toBe(again.credentials.secretKey)
      Effect.runFork(Fiber.interrupt(fiber))
    }
  })

  test("a folder of somebody else is refused and left alone", async () => {
    const disk = new MemoryDisk()
    await succeed(disk, Effect.flatMap(Disk, (service) => replaceFile(service, "thesis.doc", toUtf8("years of work"))))
    expect(await failure(disk, start())).toContain("thesis.doc")
    expect([...disk.contents().keys()]).toEqual(["thesis.doc"])
  })

  test("a newer format is refused, untouched", async () => {
    const disk = new MemoryDisk()
    await succeed(disk, start())
    const marker = fromUtf8(disk.contents().get("ouroboros.json") ?? new Uint8Array(0)) ?? ""
    await succeed(disk, Effect.flatMap(Disk, (service) =>
      replaceFile(service, "ouroboros.json", toUtf8(marker.replace(/"format": \d+/, "\"format\": 1000")))))
    const before = disk.contents()
    expect(await failure(disk, start())).toContain("newer")
    expect(disk.contents()).toEqual(before)
  })

  test("a damaged marker and a missing keyring are named, and nothing is made in their place", async () => {
    const disk = new MemoryDisk()
    await succeed(disk, start())
    await succeed(disk, Effect.flatMap(Disk, (service) => service.remove("keyring")))
    expect(await failure(disk, start())).toContain("keyring is missing")
    await succeed(disk, Effect.flatMap(Disk, (service) => replaceFile(service, "ouroboros.json", toUtf8("{"))))
    expect(await failure(disk, start())).toContain("ouroboros.json")
  })

  test("under a passphrase: not without it, not with another, and no key file lies about", async () => {
    const disk = new MemoryDisk()
    const made = await succeed(disk, start({ OUROBOROS_PASSPHRASE: "correct horse" }))
    expect([...disk.contents().keys()]).not.toContain("vault.key")
    expect(await failure(disk, start())).toContain("OUROBOROS_PASSPHRASE")
    expect(await failure(disk, start({ OUROBOROS_PASSPHRASE: "battery" }))).toContain("wrong passphrase")
    const opened = await succeed(disk, start({ OUROBOROS_PASSPHRASE: "correct horse" }))
    expect(opened.vault.keys.master).toEqual(made.vault.keys.master)
  })

  test("changing the passphrase: the old opens nothing, the key file goes, and back again", async () => {
    const disk = new MemoryDisk()
    const { vault } = await succeed(disk, start())
    await succeed(disk, changeVaultSecret(vault.keys, "new"))
    expect([...disk.contents().keys()]).not.toContain("vault.key")
    expect((await succeed(disk, start({ OUROBOROS_PASSPHRASE: "new" }))).vault.keys.master).toEqual(vault.keys.master)
    await succeed(disk, changeVaultSecret(vault.keys, undefined))
    expect((await succeed(disk, start())).vault.keys.master).toEqual(vault.keys.master)
  })

  test("credentials of the environment win, and the file follows for the command line", async () => {
    const disk = new MemoryDisk()
    await succeed(disk, start())
    const env = { OUROBOROS_ACCESS_KEY: "mykey", OUROBOROS_SECRET_KEY: "my-secret-key" }
    expect((await succeed(disk, start(env))).credentials).toMatchObject({ accessKey: "mykey", origin: "Environment" })
    expect((await succeed(disk, start())).credentials).toMatchObject({ secretKey: "my-secret-key", origin: "File" })
  })
})
