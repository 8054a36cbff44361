/**
 * ReplicaWorld: what one seed does to a cluster: clients at any node, power cuts, the network's harm, long absences; then calm. And what is
 * held against it: every key linearizable, every request done once, all replicas equal, progress after the calm.
 */
import { Effect, Exit } from "effect"
import { drawNetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import { SimulatedNetwork } from "../../sim/Network.ts"
import { seededRandom } from "../../sim/Random.ts"
import { Timeline } from "../../sim/Timeline.ts"
import { fromUtf8 } from "../../src/base/bytes.ts"
import type { Change } from "../../src/namespace/Model.ts"
import type { Committed, NamespaceService } from "../../src/namespace/Namespace.ts"
import type { RequestId } from "../../src/replica/Request.ts"
import type { Replica } from "../../src/replica/ReplicaService.ts"
import { checkLinearizable, explain, type Operation } from "../../spec/Linearizability.ts"
import { all as allThings, create, put } from "../namespace/store.ts"
import { type RegisterInput, registerModel } from "../sim/Register.ts"
import { smallSizes } from "../wal/scene.ts"
import { RaftWatch } from "../raft/RaftWatch.ts"
import { namesake } from "./Namesake.ts"
import { Registrar } from "./Registrar.ts"
import { Node, type World } from "./Replicas.ts"

const secondUs = 1_000_000
const bucket = "things"
const keys = ["k0", "k1", "k2"]

type History = Array<Operation<RegisterInput, string>>

export interface Seen {
  readonly problems: ReadonlyArray<string>
  readonly applied: number
  readonly operations: number
  readonly retried: number
  readonly installs: number
  readonly stale: number
  readonly terms: number
  /** Changes of the record of members that were acknowledged. */
  readonly members: number
  readonly repeated: number
  /** Of consensus, that its monitor judged. */
  readonly steps: number
}

interface Scene {
  readonly world: World
  readonly histories: Map<string, History>
  /** Values that were put: whether their clients heard so. */
  readonly values: Map<string, boolean>
  readonly problems: Array<string>
  /** In half of the worlds; the others are as they were before there was one. */
  readonly registrar: Registrar | undefined
  retried: number
  /** Answers to what had been asked before under the same name. */
  repeated: number
}

/** Now and then one that believes to lead: rightly or not. */
const anyNode = ({ nodes, random }: World): Node => {
  const all = [...nodes.values()]
  const leading = random.chance(0.4) ? all.filter(({ isOn, replica }) => isOn && replica?.raft.status().role === "Leader") : []
  return random.pick(leading.length > 0 ? leading : all)
}

const read = (replica: Replica, key: string): Effect.Effect<string, unknown> =>
  Effect.gen(function*() {
    yield* replica.fence()
    const { namespace } = replica
    return yield* Effect.match(namespace.object(bucket, key, undefined, namespace.head().sequence), {
      onSuccess: ({ deleteMarker, manifest }) => (!deleteMarker && manifest._tag === "Inline" ? fromUtf8(manifest.bytes)! : ""),
      onFailure: (error) => (error._tag === "Refused" && error.refusal === "NoSuchKey" ? "" : `problem: ${error.message}`)
    })
  })

const changeOf = (key: string, { value }: Extract<RegisterInput, { readonly _tag: "Write" }>): Change =>
  value === "" ? { _tag: "DeleteObjects", bucket, targets: [{ key }] } : put(bucket, key, value)

/** One operation after another at whichever node; one that is not answered may have taken effect. */
const client = (scene: Scene, name: string, isOver: () => boolean): void => {
  const { histories, problems, values, world } = scene
  const { random, timeline } = world
  let count = 0
  const next = (): void => {
    if (isOver()) return
    const node = anyNode(world)
    const { replica } = node
    if (replica === undefined || !node.isOn) return void timeline.after(random.below(200_000), next)
    count += 1
    const key = random.pick(keys)
    const history = histories.get(key)!
    const value = `${name}${count}`
    const input: RegisterInput = random.chance(0.4) ? { _tag: "Read" } : { _tag: "Write", value: random.chance(0.2) ? "" : value }
    if (input._tag === "Write" && input.value !== "") values.set(input.value, false)
    const calledAt = timeline.nowUs
    const at = history.push({ input, calledAt }) - 1
    let isDone = false
    const end = (output: string | undefined): void => {
      if (isDone) return
      isDone = true
      if (output !== undefined) history[at] = { input, calledAt, answer: { output, at: timeline.nowUs } }
      timeline.after(random.below(100_000), next)
    }
    timeline.after(6 * secondUs, () => end(undefined))
    if (input._tag === "Read") node.run(read(replica, key), (exit) => {
      if (Exit.isSuccess(exit) && exit.value.startsWith("problem")) problems.push(exit.value)
      end(Exit.isSuccess(exit) ? exit.value : undefined)
    })
    else node.run(replica.namespace.propose(changeOf(key, input), undefined, name), (exit) => {
      if (Exit.isSuccess(exit)) {
        if (input.value !== "") values.set(input.value, true)
        return end(input.value)
      }
      const reason = exit.cause.reasons[0]
      if (reason?._tag !== "Fail" || reason.error._tag === "Refused") problems.push(`a put ended by ${String(exit.cause)}`)
      end(undefined)
    })
  }
  next()
}

/** Many at once at one node: some are refused after they were stamped, and those behind them come to nothing at first. */
const burster = (scene: Scene, isOver: () => boolean): void => {
  const { problems, values, world } = scene
  const { random, timeline } = world
  let count = 0
  const burst = (): void => {
    if (isOver()) return
    const node = anyNode(world)
    const { replica } = node
    if (replica !== undefined && node.isOn) {
      for (let left = 12; left > 0; left -= 1) {
        const value = `burst${++count}`
        values.set(value, false)
        node.run(replica.namespace.propose(put(bucket, `burst-${count % 5}`, value), undefined, "burst"), (exit) => {
          if (Exit.isSuccess(exit)) values.set(value, true)
          else if (exit.cause.reasons[0]?._tag !== "Fail") problems.push(`a put ended by ${String(exit.cause)}`)
        })
      }
    }
    timeline.after(random.below(3 * secondUs), burst)
  }
  burst()
}

const digest = new Uint8Array(32).fill(3)

const textOf = ({ answer, sequence, time }: Committed): string => JSON.stringify([sequence, String(time), answer])

/** A client with numbers of his own, who asks again, anywhere, for what nobody answered; and sometimes for what was answered, long ago or just now. */
const insister = (scene: Scene, name: string, isOver: () => boolean): void => {
  const { problems, values, world } = scene
  const { random, timeline } = world
  let session: number | undefined
  let number = 0
  const told = new Map<number, string>()
  /** Of sessions that are over, too. */
  const past: Array<readonly [RequestId, value: string, answer: string]> = []
  const again = (act: () => void): void => void timeline.after(random.below(300_000), act)
  const at = (act: (replica: Replica, node: Node) => void): void => {
    const node = anyNode(world)
    if (node.replica === undefined || !node.isOn) again(() => at(act))
    else act(node.replica, node)
  }
  const opened = (): void => at((replica, node) => {
    let isDone = false
    const done = (): void => { if (!isDone) { isDone = true; again(session === undefined ? opened : next) } }
    timeline.after(4 * secondUs, done)
    node.run(replica.openSession, (exit) => {
      if (isDone) return
      if (Exit.isSuccess(exit)) { session = exit.value; number = 0; told.clear() }
      done()
    })
  })
  const recall = (): void => {
    const one = past.length === 0 ? undefined : random.pick(past)
    if (one !== undefined && !isOver()) at((replica, node) => node.run(replica.request(one[0], put(bucket, `own-${name}`, one[1]), name), (exit) => {
      const answer = Exit.isSuccess(exit) ? exit.value : undefined
      if (answer !== undefined && !("_tag" in answer) && textOf(answer) !== one[2]) problems.push(`request ${one[1]} was answered ${one[2]}, and long after ${textOf(answer)}`)
    }))
  }
  const next = (): void => {
    if (isOver()) return
    if (random.chance(0.3)) recall()
    if (session === undefined) return opened()
    const old = random.chance(0.2) && told.size > 0 ? random.pick([...told.keys()]) : undefined
    if (old !== undefined) return ask(old, session)
    number += 1
    values.set(`${name}s${session}n${number}`, false)
    ask(number, session)
  }
  const ask = (of: number, mine: number): void => at((replica, node) => {
    if (isOver()) return
    const value = `${name}s${mine}n${of}`
    const id: RequestId = { session: mine, number: of, digest }
    let isDone = false
    const retry = (): void => {
      if (isDone) return
      isDone = true
      scene.retried += 1
      again(() => ask(of, mine))
    }
    timeline.after(200_000 + random.below(3 * secondUs), retry)
    node.run(replica.request(id, put(bucket, `own-${name}`, value), name), (exit) => {
      // Too late for this client, not for the truth: the answer must be the same.
      const answer = Exit.isSuccess(exit) ? exit.value : undefined
      if (answer !== undefined && !("_tag" in answer)) {
        const text = textOf(answer)
        if (!told.has(of) && mine === session) past.push([id, value, text])
        const before = told.get(of)
        if (mine === session && before !== undefined && before !== text) problems.push(`request ${value} was answered ${before}, and then ${text}`)
        if (mine === session) told.set(of, text)
        values.set(value, true)
      } else if (answer?._tag === "RequestRefused" && answer.reason === "Misused") problems.push(`request ${value}: misused`)
      else if (answer?._tag === "RequestRefused" && answer.reason === "Expired" && mine === session) session = undefined
      if (isDone) return
      if (answer === undefined) return retry()
      isDone = true
      again(next)
    })
  })
  next()
}

const trouble = (world: World, untilUs: number): void => {
  const { random, timeline } = world
  const away = new Set<Node>()
  const back = (node: Node): void => { if (!node.isOn && !away.has(node)) node.start() }
  if (random.chance(0.4)) timeline.after(random.below(untilUs), () => {
    const all = [...world.nodes.values()].filter(({ isOn }) => isOn)
    for (const node of all) node.powerOff()
    timeline.after(random.below(secondUs), () => { for (const node of all) back(node) })
  })
  // Away for so long that the log of the others goes on without it.
  if (random.chance(0.8)) timeline.after(random.below(2 * secondUs), () => {
    const node = random.pick([...world.nodes.values()])
    if (node.isOn) node.powerOff()
    away.add(node)
    timeline.after(5 * secondUs + random.below(6 * secondUs), () => {
      away.delete(node)
      back(node)
    })
  })
  const falls = random.pick([0, 0.05, 0.3])
  // Checkpoints and states that come: where a crash leaves most to be found.
  world.strikes = (node, path) => {
    if (timeline.nowUs >= untilUs || !path.startsWith("state/") || !random.chance(path.includes("current") ? 2 * falls : falls)) return
    timeline.after(random.below(world.syncMs * 2000), () => {
      if (!node.isOn || timeline.nowUs >= untilUs) return
      node.powerOff()
      timeline.after(random.below(secondUs), () => back(node))
    })
  }
  for (const node of world.nodes.values()) {
    const fall = (): void => {
      if (timeline.nowUs >= untilUs) return
      if (node.isOn) node.powerOff()
      timeline.after(random.below(random.chance(0.3) ? 10 * secondUs : 2 * secondUs), () => {
        back(node)
        timeline.after(random.below(8 * secondUs), fall)
      })
    }
    if (random.chance(0.6)) timeline.after(random.below(8 * secondUs), fall)
  }
}

/** Every value once at most, and those that a client was told of once. */
const judgeOnce = ({ problems, values }: Scene, namespace: NamespaceService): Effect.Effect<void> =>
  Effect.gen(function*() {
    const seen = new Map<string, number>()
    const all = yield* Effect.orDie(namespace.listVersions(bucket, { ...allThings, limit: 1_000_000 }, namespace.head().sequence))
    for (const { deleteMarker, manifest } of all.versions) {
      const value = !deleteMarker && manifest._tag === "Inline" ? fromUtf8(manifest.bytes)! : undefined
      if (value !== undefined) seen.set(value, (seen.get(value) ?? 0) + 1)
    }
    for (const [value, count] of seen) if (count > 1) problems.push(`${value} was put ${count} times`)
    for (const [value, isTold] of values) if (isTold && !seen.has(value)) problems.push(`${value} was acknowledged, and is not there`)
  })

export interface WorldOptions {
  readonly troubleUs?: number
}

export const runWorld = (seed: number, { troubleUs = 15 * secondUs }: WorldOptions = {}): Seen => {
  const random = seededRandom(seed)
  const timeline = new Timeline()
  const network = new SimulatedNetwork(timeline, random.fork(), drawNetworkPlan(random))
  const names = ["a", "b", "c", "d", "e"].slice(0, random.chance(0.3) ? 5 : 3)
  const world: World = {
    timeline, network, random, watch: new RaftWatch(), nodes: new Map(), history: new Map(), firsts: new Map(), refusedIn: new Set(), uncommittedBytesMax: random.pick([1500, 10_000]), stale: 0, isMerciful: true, strikes: () => undefined, endsAsks: true, syncMs: random.pick([5, 30, 100]), skewMs: random.pick([0, 100, 2000]),
    sessions: { window: random.pick([4, 16, 64]), sessionsMax: random.pick([names.length + 2, 64]), idleMs: random.pick([2000, 3_600_000]), touchMs: random.pick([1, 1000]), namedMax: 4096, namedMs: 3_600_000 },
    logBytesMax: random.pick([1000, 2000, 50_000]), sizes: smallSizes
  }
  for (const id of names) world.nodes.set(id, new Node(world, id, names))
  for (const node of world.nodes.values()) node.start()
  const scene: Scene = { world, histories: new Map(keys.map((key) => [key, []])), values: new Map(), problems: [], registrar: registrarOf(seed, world, () => isTrouble()), retried: 0, repeated: 0 }
  const failureOf = (): string | undefined => world.watch.problem ?? [...world.nodes.values()].map(({ failure }) => failure).find((failure) => failure !== undefined)
  const runUntil = (untilUs: number, isOver: () => boolean = () => false): void => {
    while ((timeline.nextUs ?? Infinity) < untilUs && failureOf() === undefined && !isOver()) timeline.step()
  }
  const end = (): Seen => {
    const failure = failureOf()
    if (failure !== undefined) scene.problems.push(failure)
    const histories = [...scene.histories]
    for (const [key, history] of histories) {
      const verdict = checkLinearizable(history, registerModel)
      if (verdict._tag === "Violation") scene.problems.push(`${key} is not linearizable: ${explain(history, verdict)}`)
    }
    const terms = new Set([...world.history.values()].map((text) => text.slice(0, text.indexOf(":"))))
    return { problems: scene.problems, applied: world.history.size, operations: histories.reduce((sum, [, history]) => sum + history.length, 0), retried: scene.retried, installs: installsOf(world), stale: world.stale, terms: terms.size, members: scene.registrar?.acknowledged ?? 0, repeated: scene.repeated, steps: world.watch.steps }
  }
  if (!setUp(world, runUntil)) {
    scene.problems.push("no bucket was made in calm")
    return end()
  }
  const beganUs = timeline.nowUs
  const isTrouble = (): boolean => timeline.nowUs - beganUs > troubleUs
  for (const name of ["x", "y", "z"]) client(scene, name, isTrouble)
  for (const name of ["p", "q"]) insister(scene, name, isTrouble)
  burster(scene, isTrouble)
  const own = seededRandom(seed ^ 0x4e41_4d45)
  if (own.chance(0.5)) namesake({ ...scene, ...world, bucket, nodes: [...world.nodes.values()], random: own, isOver: isTrouble, repeated: () => { scene.repeated += 1 } })
  scene.registrar?.begin()
  trouble(world, beganUs + troubleUs)
  network.begin()
  runUntil(beganUs + troubleUs)
  network.heal()
  world.endsAsks = false
  for (const node of world.nodes.values()) if (!node.isOn) node.start()
  runUntil(timeline.nowUs + 4 * secondUs)
  runUntil(timeline.nowUs + 16 * secondUs, () => [...world.nodes.values()].every(({ replica }) => replica !== undefined))
  calm(scene, runUntil)
  return end()
}

const registrarOf = (seed: number, { nodes, timeline }: World, isTrouble: () => boolean): Registrar | undefined => {
  const random = seededRandom(seed ^ 0x5eed_0000)
  return random.chance(0.5) ? new Registrar({ seed, random, timeline, nodes: [...nodes.values()], isOver: isTrouble }) : undefined
}

const installsOf = ({ nodes }: World): number => [...nodes.values()].reduce((sum, { disk }) => sum + (disk.sizes().has("state/current") ? 1 : 0), 0)

const setUp = (world: World, runUntil: (untilUs: number, isOver: () => boolean) => void): boolean => {
  let made = 0
  const node = world.nodes.get("a")!
  const makeBucket = (): void => {
    const { replica } = node
    if (replica === undefined) return void world.timeline.after(100_000, makeBucket)
    node.run(Effect.andThen(replica.namespace.propose(create(bucket, 1)), replica.namespace.propose({ _tag: "SetVersioning", bucket, status: "Enabled" })), (exit) => { if (Exit.isSuccess(exit)) made += 1 })
  }
  makeBucket()
  runUntil(60 * secondUs, () => made > 0)
  return made > 0
}

/** All is well: every node takes a change, and all come to the same rows and the same root. */
const calm = ({ problems, values, ...scene }: Scene, runUntil: (untilUs: number, isOver?: () => boolean) => void): void => {
  const { world } = scene
  const nodes = [...world.nodes.values()]
  const undone = new Set(nodes.map(({ id }) => id))
  for (const node of nodes) {
    if (node.replica === undefined) { problems.push(`${node.id} does not run after 20 s of calm`); return }
    const { namespace } = node.replica
    const changes = Array.from({ length: 24 }, (_, at) => namespace.propose(put(bucket, `calm-${at % 4}`, `calm ${node.id}${at}`)))
    node.run(Effect.all(changes, { concurrency: "unbounded", discard: true }), (exit) => {
      if (Exit.isSuccess(exit)) undone.delete(node.id)
      else problems.push(`${node.id} refuses changes in calm: ${String(exit.cause)}`)
    })
  }
  const until = (): number => world.timeline.nowUs + 20 * secondUs
  runUntil(until(), () => undone.size === 0)
  for (const id of undone) problems.push(`${id} takes no change in 20 s of calm: ${nodes.map(({ replica }) => JSON.stringify({ ...replica!.raft.status(), configuration: undefined })).join("; ")}`)
  if (undone.size > 0) return
  const done = (effect: (replica: Replica) => Effect.Effect<unknown, unknown>): void => {
    let left = nodes.length
    for (const node of nodes) node.run(effect(node.replica!), () => { left -= 1 })
    runUntil(until(), () => left === 0)
    if (left > 0) problems.push("something does not end in calm")
  }
  done((replica) => replica.fence())
  // What was asked in trouble and is given up by its client may come true now: checkpoints are compared that are of one place.
  runUntil(until(), () => new Set(nodes.map(({ replica }) => replica!.state.stamp().wal.offset)).size === 1)
  done((replica) => replica.namespace.checkpoint(true))
  const [first, ...others] = nodes
  const rows = JSON.stringify(first!.rows())
  for (const other of others) {
    if (JSON.stringify(other.rows()) !== rows) problems.push(`${other.id} has other rows than ${first!.id}`)
    if (other.replica!.state.root() !== first!.replica!.state.root()) problems.push(`${other.id} has another root than ${first!.id}`)
  }
  scene.registrar?.judge()
  problems.push(...(scene.registrar?.problems ?? []))
  let isJudged = false
  first!.run(judgeOnce({ problems, values, ...scene }, first!.replica!.namespace), () => { isJudged = true })
  runUntil(until(), () => isJudged)
  if (!isJudged) problems.push("what is there could not be listed")
}
