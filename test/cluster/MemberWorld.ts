/**
 * MemberWorld: what one seed does to a store of several members: clients at any member, bodies in rows, in small blocks and in pages, deletions that make garbage,
 * power cuts, the network's harm. And what is held against it: every key linearizable across members, progress after the calm, the same rows everywhere, every
 * block that a commit names on every disk and byte for byte the same, and none that no commit names.
 */
import { Cause, Effect, Exit } from "effect"
import { calmPlan, drawNetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import { seededRandom, type Random } from "../../sim/Random.ts"
import { toHex } from "../../src/base/bytes.ts"
import { hashOf } from "../../src/base/hash.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { blocksNamed } from "../../src/namespace/QueryCensus.ts"
import { State } from "../../src/namespace/State.ts"
import { Member } from "../../src/node/MemberLayer.ts"
import { Put } from "../../src/put.ts"
import { checkLinearizable, explain, type Operation } from "../../spec/Linearizability.ts"
import { type RegisterInput, registerModel } from "../sim/Register.ts"
import { get, makeBucket, noSummary, put } from "../pipeline/operations.ts"
import { tiny } from "../pipeline/store.ts"
import { type Host, Members, type Rooms } from "./Members.ts"

const keys = ["k0", "k1", "k2"]
const troubleMs = 40_000
/** What was taken is spared for minutes; then it is swept. */
const calmMs = 12 * 60_000
const sizes = [10, 150, 900, 5000, 30_000, 60_000]

export interface Seen {
  readonly problems: ReadonlyArray<string>
  readonly operations: number
  readonly acknowledged: number
  readonly cuts: number
}

export interface Scene {
  readonly members: Members
  readonly random: Random
  readonly histories: Map<string, Array<Operation<RegisterInput, string>>>
  readonly problems: Array<string>
  /** Bodies by what they stand for. */
  readonly values: Map<string, string>
  /** What was asked and is not answered. */
  readonly open: Set<string>
  /** Sizes of bodies. */
  readonly bodies: ReadonlyArray<number>
  /** So many requests come one upon another; then clients ask seldom. */
  readonly asksMax: number
  /** Told at once of whoever has acknowledged a write, before anybody else hears of it. */
  readonly heard: Set<(host: Host) => void>
  count: number
  acknowledged: number
  cuts: number
}

const remove = (key: string) => Effect.flatMap(Namespace, (namespace) => namespace.propose({ _tag: "DeleteObjects", bucket: "b", targets: [{ key }] }))
const fenced = Effect.flatMap(Member, ({ fence }) => fence())
/** "": there is none. */
const valueOf = (key: string) =>
  Effect.catch(Effect.map(get(key), (body) => hashOf(body).slice(0, 16)), (error) =>
    (error._tag === "Refused" && (error.refusal === "NoSuchKey" || error.refusal === "DeleteMarker") ? Effect.succeed("") : Effect.fail(error)))
/** Long enough for whoever has taken its first blocks to begin anew meanwhile. */
const putSlowly = (key: string, bytes: Uint8Array, random: Random) => {
  let at = 0
  const next = Effect.map(Effect.suspend(() => Effect.sleep(random.below(pieceMsMax))), () => {
    if (at === bytes.length) return undefined
    const from = at
    at = Math.min(bytes.length, at + 1 + random.below(pieceBytesMax))
    return Uint8Array.from(bytes.subarray(from, at))
  })
  return Effect.flatMap(Put, (service) => service.object({ bucket: "b", key, attributes: { headers: {}, userMetadata: {} }, body: { sizeBytes: bytes.length, next }, summary: noSummary }))
}
const draw = (random: Random): RegisterInput["_tag"] | "Delete" => random.pick(["Read", "Read", "Write", "Write", "Delete"] as const)

export const sceneOf = (members: Members, random: Random, { asksMax = Number.POSITIVE_INFINITY, bodies = sizes }: Partial<Pick<Scene, "asksMax" | "bodies">> = {}): Scene => ({
  members, random, asksMax, bodies, histories: new Map(keys.map((key) => [key, []])), problems: [], values: new Map(), open: new Set(), heard: new Set(), count: 0, acknowledged: 0, cuts: 0
})

/** Who was told by whoever wrote looks at once, and elsewhere. */
interface Hearsay {
  readonly key: string
  readonly of: Host
}
/** Of writes that were acknowledged. */
const hearsayChance = 0.5
const pauseUs = 400_000
const seldomUs = 4_000_000
/** Of larger bodies some come slowly, in pieces. */
const slowBytes = 7000
const slowChance = 0.3
const pieceBytesMax = 3000
const pieceMsMax = 1200

/** A client who asks one thing after another, each of any member; what one has written, he sometimes looks for at once at another. */
export const client = (scene: Scene, isOver: () => boolean): void => {
  const { histories, members, problems, random, values } = scene
  const { timeline } = members.country
  const next = (heard?: Hearsay): void => {
    if (isOver()) return
    const up = members.hosts.filter((host) => host.rooms !== undefined && host.station.life.isOn && host !== heard?.of)
    if (up.length === 0) return void timeline.after(200_000, () => next())
    const host = random.pick(up)
    const key = heard?.key ?? random.pick(keys)
    const what = heard === undefined ? draw(random) : "Read"
    const calledAt = timeline.nowUs
    const history = histories.get(key)!
    const end = (input: RegisterInput, output: string | undefined): void => {
      history.push({ input, calledAt, ...(output === undefined ? {} : { answer: { output, at: timeline.nowUs } }) })
      scene.count += 1
      const isWritten = output !== undefined && what !== "Read"
      if (output !== undefined) scene.acknowledged += 1
      if (isWritten) for (const hear of scene.heard) hear(host)
      if (isWritten && random.chance(hearsayChance)) return next({ key, of: host })
      timeline.after(random.below(scene.count < scene.asksMax ? pauseUs : seldomUs), () => next())
    }
    const asked = ask(scene, what, key)
    let isAsked = true
    const name = `${what} ${key} at member ${host.station.id.slice(0, 6)} at ${Math.round(calledAt / 1000)} ms`
    scene.open.add(name)
    const ended = (output: string | undefined): void => {
      if (!isAsked) return
      isAsked = false
      scene.open.delete(name)
      end(asked.input, output)
    }
    const fiber = host.station.machine.fork(Effect.provide(asked.effect, host.rooms!))
    // A member that loses its power answers nobody.
    host.gone.add(() => ended(undefined))
    fiber.addObserver((exit) => {
      if (Exit.isSuccess(exit)) return ended(exit.value)
      if (exit.cause.reasons[0]?._tag !== "Fail") problems.push(`${what} ${key} ended by ${Cause.pretty(exit.cause).slice(0, 400)}`)
      ended(undefined)
    })
  }
  const ask = (of: Scene, what: ReturnType<typeof draw>, key: string): { readonly input: RegisterInput; readonly effect: Effect.Effect<string, unknown, Rooms> } => {
    if (what === "Delete") return { input: { _tag: "Write", value: "" }, effect: Effect.as(remove(key), "") }
    if (what === "Write") {
      const body = random.bytes(random.pick(of.bodies) + random.below(100))
      const value = hashOf(body).slice(0, 16)
      of.values.set(value, key)
      const isSlow = body.length > slowBytes && random.chance(slowChance)
      return { input: { _tag: "Write", value }, effect: Effect.as(isSlow ? putSlowly(key, body, random.fork()) : put(key, body), value) }
    }
    const read = Effect.tap(Effect.andThen(fenced, valueOf(key)), (value) => Effect.sync(() => {
      if (value !== "" && values.get(value) !== key) problems.push(`${key} reads as ${value}, which nobody wrote there`)
    }))
    return { input: { _tag: "Read" }, effect: read }
  }
  next()
}

/** One after the other, and now and then two at once, for a while. */
const trouble = (scene: Scene, untilUs: number): void => {
  const { members, random } = scene
  const { timeline } = members.country
  const strike = (): void => {
    if (timeline.nowUs > untilUs) return
    const on = members.hosts.filter(({ station }) => station.life.isOn)
    const off = members.hosts.filter(({ station }) => !station.life.isOn)
    if (off.length > 0 && random.chance(0.6)) members.start(random.pick(off))
    else if (on.length > 0 && (on.length * 2 > members.hosts.length + 1 || random.chance(0.2))) {
      members.cut(random.pick(on))
      scene.cuts += 1
    }
    timeline.after(random.below(5_000_000), strike)
  }
  timeline.after(random.below(5_000_000), strike)
}

export const runMembers = (seed: number): Seen => {
  const random = seededRandom(seed)
  const plan = random.chance(0.2) ? calmPlan : drawNetworkPlan(random.fork())
  const members = new Members(random.pick([3, 3, 3, 5]), seed, plan, {
    settings: { ...tiny.settings!, retentionDays: random.pick([1, 1000, 3_600_000]) / 86_400_000 },
    gc: { intervalMs: random.pick([500, 4000]), graceMs: random.pick([0, 3000]), reserveBytes: 0, compactBytesPerSecond: 0, sweepMs: random.pick([2000, 20_000]) }
  })
  const scene = sceneOf(members, random)
  const { country } = members
  members.do(members.hosts[0]!, makeBucket)
  const untilUs = country.timeline.nowUs + troubleMs * 1000
  for (let left = 3; left > 0; left -= 1) client(scene, () => country.timeline.nowUs > untilUs)
  trouble(scene, untilUs)
  country.network.begin()
  country.pass(troubleMs)
  country.network.heal()
  for (const host of members.hosts) if (!host.station.life.isOn) members.start(host)
  members.ready()
  country.pass(calmMs)
  for (const host of members.hosts) for (const gone of host.gone) gone()
  judge(scene)
  return { problems: scene.problems, operations: scene.count, acknowledged: scene.acknowledged, cuts: scene.cuts }
}

/** `hosts`: the members by then. `isSwept`: so much later that nothing is spared any more. */
export const judge = (scene: Scene, hosts = scene.members.hosts, isSwept = true): void => {
  const { histories, members, problems } = scene
  for (const [key, history] of histories) {
    // In the calm each member says the same, and it fits what went before.
    for (const host of hosts) {
      const calledAt = members.country.timeline.nowUs
      const output = members.fenced(host, valueOf(key))
      history.push({ input: { _tag: "Read" }, calledAt, answer: { output, at: members.country.timeline.nowUs } })
    }
    const verdict = checkLinearizable(history, registerModel)
    if (verdict._tag === "Violation") problems.push(`${key} is not linearizable: ${explain(history, verdict)}`)
  }
  const rows = hosts.map((host) => members.fenced(host, Effect.map(State, ({ reader }) =>
    hashOf(Buffer.from([...reader.scan("", "\u0100")].map(([key, value]) => `${Buffer.from(key, "latin1").toString("hex")} ${toHex(value)}`).join("\n"))))))
  if (new Set(rows).size > 1) problems.push("members have different rows")
  const named = members.fenced(hosts[0]!, Effect.map(State, ({ reader }) => [...blocksNamed(reader)].map(({ block }) => block as string).sort()))
  const copies = new Map<string, string>()
  for (const { disk, station } of hosts) {
    const files = [...disk.contents()].filter(([path]) => path.startsWith("blocks/"))
    const here = files.map(([path]) => path.slice(path.lastIndexOf("/") + 1, -".block".length)).sort()
    const lacking = named.filter((block) => !here.includes(block))
    const over = here.filter((block) => !named.includes(block))
    if (lacking.length > 0) problems.push(`member ${station.id.slice(0, 6)} lacks blocks ${lacking.join()}`)
    if (isSwept && over.length > 0) problems.push(`member ${station.id.slice(0, 6)} keeps blocks that no commit names: ${over.join()}`)
    for (const [path, bytes] of files) {
      const hash = hashOf(bytes)
      if ((copies.get(path) ?? hash) !== hash) problems.push(`${path} differs between members`)
      copies.set(path, hash)
    }
  }
}
