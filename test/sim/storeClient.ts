/** storeClient: a SimulatedClient over the gateway's real handler and a store in memory, and one that tells lies: what oracles must see. */
import { Clock, Effect, Logger } from "effect"
import type { BodyPlan, Outcome, Request, SimulatedClient } from "../../sim/Client.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { Violation } from "../../sim/Violation.ts"
import type { MakeWorkload, WorkloadContext } from "../../sim/workload/Workload.ts"
import { makeScene } from "../gateway/scene.ts"
import { sign } from "../gateway/sign.ts"

const bytesOf = (body: Uint8Array | BodyPlan | undefined): Uint8Array | undefined => (body === undefined || body instanceof Uint8Array ? body : body.bytes)

/** A client that goes away in the middle is none that was answered; all else comes at once. */
export const storeClient = async (): Promise<SimulatedClient> => {
  const scene = await makeScene({ md5EtagBytesMax: 4096 })
  return {
    send: (request) => {
      const { body } = request
      if (request.to === "admin") return Effect.succeed({ _tag: "Refused", why: "there is no admin address here" })
      if (body !== undefined && !(body instanceof Uint8Array) && body.abortsAfterBytes !== undefined) return Effect.succeed({ _tag: "Unknown", why: "the client went away" })
      return Effect.promise(async (): Promise<Outcome> => {
        scene.nowMs += 1
        const slash = request.path.indexOf("/", 1)
        const [bucket, key] = slash < 0 ? [request.path.slice(1), undefined] : [request.path.slice(1, slash), request.path.slice(slash + 1)]
        const bytes = bytesOf(body)
        const { request: signed } = sign({
          nowMs: scene.nowMs, method: request.method, bucket, ...(key === undefined ? {} : { key }), headers: request.headers ?? {},
          query: Object.entries(request.query ?? {}), ...(bytes === undefined ? {} : { body: bytes })
        })
        const answer = await scene.send(signed)
        return { _tag: "Answered", status: answer.status, headers: answer.headers, body: answer.bytes }
      })
    }
  }
}

/** What a client is told instead of the truth; undefined: the truth. */
export type Lie = (request: Request, outcome: Outcome, random: Random, number: number) => Outcome | undefined

/** Lies once the setup is over. */
const lying = (client: SimulatedClient, lie: Lie, random: Random, isOn: () => boolean): SimulatedClient => {
  let number = 0
  return {
    send: (request) => Effect.map(client.send(request), (outcome) => {
      if (!isOn()) return outcome
      number += 1
      return lie(request, outcome, random, number) ?? outcome
    })
  }
}

/** Runs a workload in a world without faults, but for lies. What it finds, or undefined. */
export const runWorkload = async (make: MakeWorkload, seed: number, lie?: Lie, wrap: (client: SimulatedClient) => SimulatedClient = (it) => it): Promise<Violation | undefined> => {
  const random = seededRandom(seed)
  let isOn = false
  const plain = await storeClient()
  const client = wrap(lie === undefined ? plain : lying(plain, lie, random.fork(), () => isOn))
  const context: WorkloadContext = {
    random: random.fork(), client, profile: "short", operations: 120, nowMs: () => 0, lives: () => 1, isFleeting: false, merciless: false, note: () => {}, probe: () => {}
  }
  const workload = make()
  const effect = Effect.gen(function*() {
    yield* workload.setup(context)
    isOn = true
    yield* workload.start(context)
    yield* workload.check(context)
  }).pipe(Effect.provideService(Clock.Clock, hasty), Effect.provideService(Logger.CurrentLoggers, new Set()))
  try {
    await Effect.runPromise(effect)
    return undefined
  } catch (error) {
    if (error instanceof Violation) return error
    throw error
  }
}

/** Nobody waits. */
const hasty: Clock.Clock = {
  currentTimeMillisUnsafe: () => 0, currentTimeNanosUnsafe: () => 0n, monotonicTimeNanosUnsafe: () => 0n,
  currentTimeMillis: Effect.succeed(0), currentTimeNanos: Effect.succeed(0n), monotonicTimeNanos: Effect.succeed(0n),
  sleep: () => Effect.yieldNow
}
