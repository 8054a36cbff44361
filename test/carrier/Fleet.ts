/**
 * Fleet: carriers of several nodes on one timeline, and a wire between them: the network's twin, or one that the test holds in its hands. What is
 * asked answers itself: by bytes that the request decides, so that whoever asked can tell what is right.
 */
import { seededRandom, type Random } from "../../sim/Random.ts"
import { equalBytes, toUtf8 } from "../../src/base/bytes.ts"
import { hashBytes } from "../../src/base/hash.ts"
import type { RestartId } from "../../src/base/ids.ts"
import { makeCarrier, step } from "../../src/carrier/Carrier.ts"
import type { Priority } from "../../src/carrier/CarrierFormat.ts"
import { invariants } from "../../src/carrier/CarrierInvariants.ts"
import type { CarrierCommand, CarrierEvent, CarrierState, Members } from "../../src/carrier/CarrierState.ts"
import type { Identity, NodeId } from "../../src/membership/Identity.ts"
import { sceneOf, type Scene } from "../membership/fixtures.ts"

type Without<Event> = Event extends CarrierEvent ? Omit<Event, "at"> : never

export interface Member {
  readonly identity: Identity
  state: CarrierState
  /** Its wall clock is so far ahead. */
  skewMs: number
  restarts: number
}

export const wallMs = 1_795_305_600_000

export class Fleet {
  readonly scene: Scene = sceneOf(1)
  readonly members: ReadonlyArray<Member>
  nowMs = 1000
  /** Whether invariants are claimed after every step: with a thousand streams that is most of the work. */
  isWatched = true
  /** Of every node, as they came. */
  readonly seen: Array<readonly [by: number, command: CarrierCommand]> = []
  /** What becomes of commands. */
  carryOut: (by: number, command: CarrierCommand) => void = () => undefined

  constructor(count: number) {
    const identities = Array.from({ length: count }, (_, index) => this.scene.node(10 + index)).sort((a, b) => (a.id < b.id ? -1 : 1))
    const known = membersOf(identities)
    this.members = identities.map((identity, index) => ({ identity, state: this.#start(identity, index, 0, known), skewMs: 0, restarts: 0 }))
  }

  idOf(index: number): NodeId {
    return this.members[index]!.identity.id
  }

  indexOf(id: NodeId): number {
    return this.members.findIndex(({ identity }) => identity.id === id)
  }

  known(epoch = 1, epochLeast = 0): Members {
    return { ...membersOf(this.members.map(({ identity }) => identity)), epoch, epochLeast }
  }

  /** As another process: it knows nothing of before. */
  restart(index: number): void {
    const member = this.members[index]!
    member.restarts += 1
    member.state = this.#start(member.identity, index, member.restarts, this.known())
  }

  do(by: number, event: Without<CarrierEvent>): ReadonlyArray<CarrierCommand> {
    const member = this.members[by]!
    const commands = step(member.state, { ...event, at: { nowMs: this.nowMs, wallMs: Math.floor(wallMs + this.nowMs + member.skewMs) } })
    if (this.isWatched) invariants(member.state)
    for (const command of commands) {
      this.seen.push([by, command])
      this.carryOut(by, command)
    }
    return commands
  }

  ask(by: number, to: number, ask: number, bytes: Uint8Array, more: { readonly priority?: Priority; readonly isTold?: boolean; readonly deadlineMs?: number } = {}): ReadonlyArray<CarrierCommand> {
    return this.do(by, { _tag: "Ask", ask, to: this.idOf(to), topic: 7, priority: 2, isTold: false, deadlineMs: 30_000, bytes, ...more })
  }

  note(by: number, to: number, bytes: Uint8Array, priority: Priority = 0): ReadonlyArray<CarrierCommand> {
    return this.do(by, { _tag: "Note", to: this.idOf(to), topic: 1, priority, bytes })
  }

  tick(by: number): ReadonlyArray<CarrierCommand> {
    return this.do(by, { _tag: "Ticked" })
  }

  of<Tag extends CarrierCommand["_tag"]>(by: number, tag: Tag): ReadonlyArray<Extract<CarrierCommand, { readonly _tag: Tag }>> {
    return this.seen.flatMap(([who, command]) => (who === by && command._tag === tag ? [command as Extract<CarrierCommand, { readonly _tag: Tag }>] : []))
  }

  reasons(by: number): ReadonlyArray<string> {
    return this.of(by, "Refused").map(({ reason }) => reason)
  }

  #start(identity: Identity, index: number, restarts: number, members: Members): CarrierState {
    const random = seededRandom(1000 * index + restarts)
    const restart = Buffer.from(random.bytes(16)).toString("hex") as RestartId
    return makeCarrier({ cluster: this.scene.cluster, self: identity, restart, pairs: this.scene.pairs, secret: random.bytes(32), members })
  }
}

const membersOf = (identities: ReadonlyArray<Identity>): Members => ({ epoch: 1, epochLeast: 0, identities: new Map(identities.map(({ id, shown }) => [id, shown])) })

/** A wire without faults whose frames the test sees, holds back and changes: what is sent lies in `frames` until it is delivered. */
export class Hand {
  readonly frames: Array<{ readonly from: number; readonly to: number; readonly bytes: Uint8Array }> = []
  readonly fleet: Fleet
  answers = true
  /** Whoever asked takes what is answered, at once. */
  takes = true

  constructor(fleet: Fleet) {
    this.fleet = fleet
    fleet.carryOut = (by, command) => {
      if (command._tag === "Transmit") this.frames.push({ from: by, to: fleet.indexOf(command.to), bytes: command.bytes })
      else if (command._tag === "Deliver" && this.answers) {
        fleet.do(by, { _tag: "Taken", from: command.from, bytes: command.bytes.length })
        const { request } = command
        if (request === undefined) return
        answersTo(command.bytes).forEach((bytes, index, all) => fleet.do(by, { _tag: "Answer", to: command.from, request, bytes, isLast: index === all.length - 1 }))
      } else if (command._tag === "Answered" && this.takes) fleet.do(by, { _tag: "Taken", from: command.from, bytes: command.bytes.length, ask: command.ask })
    }
  }

  /** The next frame arrives; undefined: none is left. */
  deliver(): Uint8Array | undefined {
    const frame = this.frames.shift()
    if (frame === undefined) return undefined
    this.fleet.do(frame.from, { _tag: "Sent", to: this.fleet.idOf(frame.to), bytes: frame.bytes.length })
    this.fleet.do(frame.to, { _tag: "Received", from: this.fleet.idOf(frame.from), bytes: frame.bytes })
    return frame.bytes
  }

  /** Until nothing is on the wire. */
  settle(): void {
    while (this.deliver() !== undefined);
  }

  /** All of it is lost. */
  lose(): void {
    for (const { bytes, from, to } of this.frames.splice(0)) this.fleet.do(from, { _tag: "Sent", to: this.fleet.idOf(to), bytes: bytes.length })
  }

  /** Time passes in steps, and what is sent arrives at once. */
  run(ms: number, stepMs = 50): void {
    for (const endMs = this.fleet.nowMs + ms; this.fleet.nowMs < endMs;) {
      this.fleet.nowMs += stepMs
      this.fleet.members.forEach((_, index) => this.fleet.tick(index))
      this.settle()
    }
  }
}

/** One to three messages, by the request's own bytes; some of them empty. */
export const answersTo = (request: Uint8Array): ReadonlyArray<Uint8Array> => {
  const hash = hashBytes(request)
  return Array.from({ length: 1 + (hash[0]! % 3) }, (_, index) => {
    const random = seededRandom(hash[1]! * 256 + hash[2]! + index)
    return random.bytes(hash[3]! % 4 === 0 ? 0 : random.below(hash[4]! < 230 ? 3000 : 300_000))
  })
}

export const areAnswers = (request: Uint8Array, answers: ReadonlyArray<Uint8Array>): boolean => {
  const right = answersTo(request)
  return answers.length === right.length && right.every((bytes, index) => equalBytes(bytes, answers[index]!))
}

export const bodyOf = (random: Random, name: string): Uint8Array => {
  const sizes = [0, 20, 200, 5000, 70_000, 400_000, 2_500_000]
  const size = random.chance(0.9) ? sizes[random.below(5)]! : sizes[random.below(7)]!
  return Buffer.concat([toUtf8(`${name}\n`), random.bytes(random.below(size + 1))])
}
