/**
 * Namesake: a client that knows nothing of sessions, as those of S3: it names each of its requests, sends it to any member, and again, there or elsewhere, while nobody
 * has answered and now and then afterwards, long afterwards too. Held against it: every answer to one name is the same; that its value was put once is the world's to judge.
 */
import { Exit } from "effect"
import type { Random } from "../../sim/Random.ts"
import type { Timeline } from "../../sim/Timeline.ts"
import { put } from "../namespace/store.ts"
import type { Node } from "./Replicas.ts"

export interface Named {
  readonly bucket: string
  readonly nodes: ReadonlyArray<Node>
  readonly random: Random
  readonly timeline: Timeline
  /** Values that were put: whether their clients heard so. */
  readonly values: Map<string, boolean>
  readonly problems: Array<string>
  readonly isOver: () => boolean
  /** Told of each answer to what had been asked before. */
  readonly repeated: () => void
}

interface NamedRequest {
  readonly key: string
  readonly value: string
  readonly name: Uint8Array
  asked: number
  /** Empty: nobody has answered. */
  answer: string
}

const secondUs = 1_000_000

export const namesake = (named: Named): void => {
  const { bucket, isOver, nodes, problems, random, repeated, timeline, values } = named
  let count = 0
  const past: Array<NamedRequest> = []
  const fresh = (): NamedRequest => {
    count += 1
    const value = `named${count}`
    values.set(value, false)
    return { key: `named-${count % 3}`, value, name: random.bytes(32), asked: 0, answer: "" }
  }
  const next = (): void => {
    if (isOver()) return
    const request = past.length > 0 && random.chance(0.3) ? random.pick(past) : fresh()
    const { key, name, value } = request
    let left = random.below(3)
    const attempt = (): void => {
      if (isOver()) return
      const node = random.pick(nodes)
      const { replica } = node
      if (replica === undefined || !node.isOn) return void timeline.after(random.below(300_000), attempt)
      request.asked += 1
      let isDone = false
      const then = (): void => {
        if (isDone) return
        isDone = true
        if (request.answer === "") return void timeline.after(random.below(100_000), attempt)
        left -= 1
        timeline.after(random.below(300_000), left < 0 ? next : attempt)
      }
      timeline.after(20_000 + random.below(secondUs), then)
      node.run(replica.namespace.propose(put(bucket, key, value), undefined, "named", name), (exit) => {
        if (Exit.isFailure(exit)) {
          const reason = exit.cause.reasons[0]
          if (reason?._tag !== "Fail" || reason.error._tag === "Refused") problems.push(`a named put ended by ${String(exit.cause)}`)
          return then()
        }
        const text = JSON.stringify([exit.value.sequence, String(exit.value.time), exit.value.answer])
        if (request.answer === "") past.push(request)
        else if (request.answer !== text) problems.push(`${value} was answered ${request.answer}, and then ${text}`)
        if (request.asked > 1) repeated()
        request.answer = text
        values.set(value, true)
        then()
      })
    }
    attempt()
  }
  next()
}
