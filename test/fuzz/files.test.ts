/**
 * The small files that an operator may edit or a disk may harm: marker, credentials, configuration, keyring, exported key. Any
 * bytes are a value or an error that names the file and what to do. The binary formats have the same test in their rooms.
 */
import { Effect, Exit } from "effect"
import fc from "fast-check"
import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededEntropy } from "../../sim/Entropy.ts"
import { seededRandom } from "../../sim/Random.ts"
import { toUtf8 } from "../../src/base/bytes.ts"
import { decodeCredentials, openCredentials } from "../../src/node/Credentials.ts"
import { openFolder, readSmallFile } from "../../src/node/Folder.ts"
import { resolveSettings } from "../../src/node/Settings.ts"
import { createVault, openVaultFile } from "../../src/node/VaultFile.ts"
import { Disk } from "../../src/ports/Disk.ts"
import { Entropy } from "../../src/ports/Entropy.ts"
import { importKey } from "../../src/sealer/KeyText.ts"
import { mutateBytes, nastyTexts } from "./Mutation.ts"
import { projectRoot } from "../e2e/server.ts"

const folder1 = `${projectRoot}/test/golden/folder-1`
const good = (name: string): Uint8Array => readFileSync(`${folder1}/${name}`)

/** The good bytes harmed once or more, or no such bytes at all. */
const harmedOf = (bytes: Uint8Array): fc.Arbitrary<Uint8Array> => fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.constantFrom(...nastyTexts).map((text) => toUtf8(text)),
  fc.json().map((text) => toUtf8(text)),
  fc.tuple(fc.nat(), fc.integer({ min: 1, max: 4 })).map(([seed, count]) => {
    const random = seededRandom(seed)
    let harmed = bytes
    for (let left = count; left > 0; left -= 1) harmed = mutateBytes(random, harmed)
    return harmed
  })
)

/** On a disk that holds these files; the failure's text, or "value". A defect is none of both. */
const told = async <A, E>(files: Readonly<Record<string, Uint8Array>>, effect: Effect.Effect<A, E, Disk | Entropy>): Promise<string> => {
  const disk = new MemoryDisk()
  const write = Effect.forEach(Object.entries(files), ([name, bytes]) => Effect.scoped(
    Effect.flatMap(disk.service.open(name, "create"), (file) => bytes.length === 0 ? Effect.void : file.write(0, [bytes]))))
  const exit = await Effect.runPromise(Effect.exit(Effect.andThen(write, effect).pipe(
    Effect.provideService(Disk, disk.service), Effect.provideService(Entropy, seededEntropy(seededRandom(1))))))
  if (Exit.isSuccess(exit)) return "value"
  const failure = exit.cause.reasons[0]
  if (failure?._tag !== "Fail") throw new Error(`a defect: ${String(exit.cause)}`)
  return (failure.error as { readonly message: string }).message
}

it("fuzz: any marker file is a folder or a refusal that names it", async () => {
  await fc.assert(fc.asyncProperty(harmedOf(good("ouroboros.json")), async (bytes) => {
    expect(await told({ "ouroboros.json": bytes }, openFolder(1))).toMatch(/^(value$|data folder refused: .*(ouroboros\.json cannot be read .*; restore it|it has format .*; start it with a newer))/s)
  }), { numRuns: 500 })
})

it("fuzz: any credentials file is a pair of keys or an error that says how to mend it", async () => {
  const settings = await Effect.runPromise(resolveSettings({}, {}, undefined))
  await fc.assert(fc.asyncProperty(harmedOf(good("credentials")), async (bytes) => {
    expect(await told({ credentials: bytes }, openCredentials(settings))).toMatch(/^(value$|credentials: D\/credentials has not both .*; mend it)/s)
    const pair = decodeCredentials(Buffer.from(bytes).toString("latin1"))
    expect(pair === undefined || (pair.accessKey !== "" && pair.secretKey !== "")).toBe(true)
  }), { numRuns: 500 })
})

it("fuzz: any configuration file is settings or an error that names the file", async () => {
  const names = ["data", "s3", "admin", "domain", "tlsCert", "tlsKey", "retentionDays", "md5Etags", "chunkMinBytes", "chunkAverageBytes", "chunkMaxBytes", "settleBytes", "settleAgeMs", "checkpointRows", "reserveFileBytes", "other"]
  const value = fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constantFrom(...nastyTexts), fc.double(), fc.constantFrom(0, -1, 1, 1024, 2 ** 53, 1e300))
  const text = fc.oneof(fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 5 }).map((config) => JSON.stringify(config)), fc.json(), fc.constantFrom(...nastyTexts))
  await fc.assert(fc.asyncProperty(text, async (config) => {
    const answer = await told({}, resolveSettings({}, {}, { path: "node.json", text: config }))
    expect(answer === "value" || /node\.json|--tls-cert, --tls-key/.test(answer), answer).toBe(true)
  }), { numRuns: 1500 })
})

it("fuzz: any keyring is the vault's key or an error that names it", async () => {
  const made: Record<string, Uint8Array> = {}
  const keep = (name: string) => Effect.flatMap(Disk, (disk) => Effect.map(readSmallFile(disk, name, 65_536), (bytes) => { made[name] = bytes! }))
  const marker = { "ouroboros.json": good("ouroboros.json") }
  await told(marker, Effect.flatMap(openFolder(1), (folder) =>
    Effect.andThen(createVault(folder, undefined), Effect.andThen(keep("keyring"), keep("vault.key")))))
  const opened = Effect.flatMap(openFolder(1), (folder) => openVaultFile(folder, undefined))
  expect(await told({ ...marker, ...made }, opened)).toBe("value")
  await fc.assert(fc.asyncProperty(harmedOf(made["keyring"]!), fc.boolean(), harmedOf(made["vault.key"]!), async (keyring, harmsKey, key) => {
    const answer = await told({ ...marker, ...made, keyring, ...(harmsKey ? { "vault.key": key } : {}) }, opened)
    expect(answer === "value" || /key/i.test(answer), answer).toBe(true)
  }), { numRuns: 150 })
}, 60_000)

it("fuzz: any text is an exported key or an error", () => {
  const text = readFileSync(`${projectRoot}/test/sealer/golden/key-text.v1.txt`, "utf8")
  fc.assert(fc.property(harmedOf(toUtf8(text)), (bytes) => {
    const keys = importKey(Buffer.from(bytes).toString("latin1"))
    expect("master" in keys || keys.message.length > 10).toBe(true)
  }), { numRuns: 1000 })
})
