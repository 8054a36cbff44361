/** A member's folder: who it is and whom it knows, at rest under the vault's key; a folder that is none, or that is damaged, is refused by its name. */
import { Effect, Exit, Layer, Logger } from "effect"
import { describe, expect, test } from "vitest"
import { MemoryDisk } from "../../sim/Disk.ts"
import { layer as entropyLayer } from "../../sim/Entropy.ts"
import { makeKeyPairs } from "../../sim/KeyPairs.ts"
import { seededRandom } from "../../sim/Random.ts"
import { fromUtf8, toUtf8 } from "../../src/base/bytes.ts"
import { decodeWelcome, encodeWelcome } from "../../src/cluster/Welcome.ts"
import { foundCluster, type MembershipRecord } from "../../src/membership/Membership.ts"
import type { ClusterId } from "../../src/membership/Identity.ts"
import { membersFile, markFolder, openFolder, readSmallFile, replaceFile } from "../../src/node/Folder.ts"
import { freshIdentity, joiningIdentity, keepMembers, openMember, writeMember, writeMembers } from "../../src/node/MemberFolder.ts"
import { changeVaultSecret, createVault, openVaultFile, secretOf } from "../../src/node/VaultFile.ts"
import { Disk } from "../../src/ports/Disk.ts"
import type { Entropy } from "../../src/ports/Entropy.ts"
import { nowMs } from "../membership/fixtures.ts"

const pairs = makeKeyPairs()
const listen = { host: "10.0.0.1", port: 9100 }

const run = <A, E>(disk: MemoryDisk, effect: Effect.Effect<A, E, Disk | Entropy>, seed = 1): Promise<Exit.Exit<A, E>> =>
  Effect.runPromiseExit(Effect.provide(effect, Layer.mergeAll(disk.layer, entropyLayer(seededRandom(seed)))))

const succeed = async <A, E>(disk: MemoryDisk, effect: Effect.Effect<A, E, Disk | Entropy>, seed = 1): Promise<A> => {
  const exit = await run(disk, effect, seed)
  if (Exit.isFailure(exit)) throw new Error(String(exit.cause))
  return exit.value
}

const told = async (disk: MemoryDisk, effect: Effect.Effect<unknown, unknown, Disk | Entropy>): Promise<string> => {
  const exit = await run(disk, effect)
  return Exit.isFailure(exit) ? String(exit.cause) : "succeeded"
}

const recordOf = (own: Effect.Success<ReturnType<typeof freshIdentity>>): MembershipRecord => {
  const random = seededRandom(5)
  return foundCluster({
    pairs, cluster: "ab".repeat(16) as ClusterId, identity: own.identity, authoritySeed: random.bytes(32), serials: [random.bytes(16), random.bytes(16)], name: "cellar", addresses: ["10.0.0.1:9100"], nowMs
  })
}

const made = (passphrase?: string) => Effect.gen(function*() {
  const folder = yield* openFolder(1000)
  const { keys } = yield* createVault(folder, passphrase)
  const own = yield* freshIdentity(pairs)
  const record = recordOf(own)
  yield* writeMember(folder, keys, own, { listen, hasBegun: false, isFounder: true, wasAlone: false, record, places: new Map() })
  yield* markFolder({ ...folder, isMember: true })
  return { own, keys, record }
})

const opened = (passphrase?: string) => Effect.gen(function*() {
  const folder = yield* openFolder(1000)
  const { keys } = yield* openVaultFile(folder, passphrase)
  return { folder, keys, ...yield* openMember(folder, keys, pairs) }
})

describe("a member's folder", () => {
  test("what is written is read, after another passphrase too; no key and no name lies in it in the clear", async () => {
    const disk = new MemoryDisk()
    const { own, record } = await succeed(disk, made("first"))
    const first = await succeed(disk, opened("first"))
    expect(first.folder).toMatchObject({ isMember: true, fresh: false, format: 3 })
    expect(first.own.identity.id).toBe(own.identity.id)
    expect(first.own.seeds).toEqual(own.seeds)
    expect(first.known).toEqual({ listen, hasBegun: false, isFounder: true, wasAlone: false, record, places: new Map() })
    await succeed(disk, changeVaultSecret(first.keys, "second"), 2)
    const later = await succeed(disk, opened("second"))
    expect(later.own.seeds).toEqual(own.seeds)
    await succeed(disk, writeMembers(later.folder, later.keys, { ...later.known, hasBegun: true }), 3)
    expect((await succeed(disk, opened("second"))).known.hasBegun).toBe(true)
    const bytes = await succeed(disk, Effect.flatMap(Disk, (service) => readSmallFile(service, membersFile, 1 << 20)))
    expect(Buffer.from(bytes!).includes("cellar")).toBe(false)
    const marker = await succeed(disk, Effect.flatMap(Disk, (service) => readSmallFile(service, "ouroboros.json", 1 << 20)))
    expect(fromUtf8(marker!)).toContain("\"format\": 3")
  })

  test("where members are by an operator's word is kept beside the table; a file that says nothing of it is of the format that it always was", async () => {
    const disk = new MemoryDisk()
    const { own } = await succeed(disk, made())
    const formatOf = async (): Promise<number | undefined> => (await succeed(disk, Effect.flatMap(Disk, (service) => readSmallFile(service, membersFile, 1 << 20))))?.[4]
    const { folder, keys, known } = await succeed(disk, opened())
    expect(await formatOf()).toBe(1)
    for (const wasAlone of [true, false]) {
      const placed = { ...known, wasAlone, places: new Map([[own.identity.id, "elsewhere.example:9444"]]) }
      await succeed(disk, writeMembers(folder, keys, placed))
      expect(await formatOf()).toBe(3)
      expect((await succeed(disk, opened())).known).toEqual(placed)
      await succeed(disk, writeMembers(folder, keys, { ...placed, places: new Map() }))
      expect(await formatOf()).toBe(wasAlone ? 2 : 1)
      expect((await succeed(disk, opened())).known).toEqual({ ...known, wasAlone })
    }
  })

  test("many changes at once are kept one after another: none fails, and after a power cut the file has them all", async () => {
    const disk = new MemoryDisk()
    await succeed(disk, made())
    const { folder, keys, known } = await succeed(disk, opened())
    const records = Array.from({ length: 8 }, (_, index) => ({ ...known.record, epoch: 2 + index }))
    const said: Array<string> = []
    const logger = Logger.layer([Logger.make(({ message }) => { said.push(String(message)) })])
    await succeed(disk, Effect.provide(Effect.gen(function*() {
      const { keep } = yield* keepMembers(folder, keys, known)
      yield* Effect.all([keep({ hasBegun: true }), ...records.map((record) => keep({ record }))], { concurrency: "unbounded" })
    }), logger))
    expect(said).toEqual([])
    expect((await succeed(disk.crash(seededRandom(1)), opened())).known).toMatchObject({ hasBegun: true, record: { epoch: 9 } })
  })

  test("one that waits to be let in stays the same node; one that has begun anew is another", async () => {
    const disk = new MemoryDisk()
    const joining = Effect.flatMap(secretOf("first"), (secret) => joiningIdentity(pairs, secret))
    const one = await succeed(disk, joining, 1)
    const again = await succeed(disk, joining, 2)
    expect(again.identity.id).toBe(one.identity.id)
    expect(await told(disk, Effect.flatMap(secretOf("second"), (secret) => joiningIdentity(pairs, secret)))).toContain("wrong passphrase")
    expect((await succeed(new MemoryDisk(), joining, 3)).identity.id).not.toBe(one.identity.id)
  })

  test("a damaged, a missing, a foreign file is refused by its name, and says what to do", async () => {
    for (const file of ["members", "identity"]) {
      const disk = new MemoryDisk()
      await succeed(disk, made())
      const whole = await succeed(disk, Effect.flatMap(Disk, (service) => readSmallFile(service, file, 1 << 20)))
      for (const at of [0, 4, 20, whole!.length - 1]) {
        const bytes = Uint8Array.from(whole!)
        bytes[at] = bytes[at]! ^ 1
        await succeed(disk, Effect.flatMap(Disk, (service) => replaceFile(service, file, bytes)))
        expect(await told(disk, opened()), `${file} ${at}`).toMatch(new RegExp(`member: ${file}: .*(restore it|no format that this version|not a node's identity|use the one that wrote it)`))
      }
      await succeed(disk, Effect.flatMap(Disk, (service) => service.remove(file)))
      expect(await told(disk, opened())).toContain(`member: ${file}: is missing`)
    }
    const newer = new MemoryDisk()
    await succeed(newer, made())
    await succeed(newer, Effect.flatMap(Disk, (service) => replaceFile(service, "ouroboros.json", toUtf8(JSON.stringify({ format: 4, store: "a".repeat(32), vault: "b".repeat(32), createdMs: 1 })))))
    expect(await told(newer, opened())).toContain("start it with a newer OuroborosDB")
  })

  test("a welcome: its bytes are its value; any others are none", async () => {
    const own = await succeed(new MemoryDisk(), freshIdentity(pairs))
    const welcome = {
      store: "01".repeat(16), createdMs: 5, vault: "02".repeat(16), master: seededRandom(3).bytes(32), accessKey: "OBKEY", secretKey: "secret", record: recordOf(own)
    } as Parameters<typeof encodeWelcome>[0]
    const bytes = encodeWelcome(welcome)
    expect(decodeWelcome(bytes)).toEqual(welcome)
    for (let at = 0; at < bytes.length; at += 97) expect(typeof decodeWelcome(bytes.subarray(0, at))).toBe("string")
    for (const wrong of [new Uint8Array(0), Uint8Array.of(1, 2, 3), encodeWelcome({ ...welcome, master: new Uint8Array(31) })]) expect(typeof decodeWelcome(wrong)).toBe("string")
  })
})
