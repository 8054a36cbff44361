/**
 * Runs a script against a journal on the Disk twin: a command, `----`, what came of it. Between script/*.txt and the
 * journal. Every step of the machine checks its invariants and is written down under its TLA+ name.
 */
import { Effect, Exit, ManagedRuntime } from "effect"
import { TestClock } from "effect/testing"
import { type DiskFault, type DiskOperation, MemoryDisk } from "../../sim/Disk.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { toHex } from "../../src/base/bytes.ts"
import type { WalCommand, WalEvent, WalState } from "../../src/wal/Wal.ts"
import { invariants } from "../../src/wal/WalInvariants.ts"
import type { RecordKind, WalConsumer, WalPlace, WalPosition } from "../../src/wal/WalRecord.ts"
import { placeAfter } from "../../src/wal/WalRecord.ts"
import { quietClock, recordOf, type Running, segmentPath, startWal, untilStopped } from "./scene.ts"
import { playScript } from "../playScript.ts"

const at = ({ segment, offset }: WalPlace): string => `${segment}:${offset}`

const told = (event: WalEvent): string => {
  switch (event._tag) {
    case "SegmentOpened": return `SegmentOpened ${event.segment}`
    case "OpenFailed": return `OpenFailed ${event.segment}`
    case "Release": return `Release ${event.consumer} ${at(event.keepFrom)}`
    case "Removed": return `Removed ${event.segment}`
    default: return event._tag
  }
}

const asked = (command: WalCommand): string => {
  switch (command._tag) {
    case "Assign": return `Assign ${command.positions.map((position) => `${at(position)}+${position.length}`).join(" ")}`
    case "OpenSegment": return `OpenSegment ${command.segment} epoch ${command.epoch} continues from batch ${command.continuesFrom.batch}`
    case "WriteBatch": return `${command.batch.closing ? "WriteBatch closing" : "WriteBatch"} ${at(command.batch)}`
    case "Sync": return "Sync"
    case "Acknowledge": return `Acknowledge ${command.tickets.join(" ")}`
    case "Reject": return `Reject ${command.tickets.join(" ")} ${command.reason}`
    case "RemoveSegment": return `RemoveSegment ${command.segment}`
  }
}

/** A fate that is told, not drawn: everything unsynced is lost, kept, or cut in the middle, by sectors of 512 bytes. */
const decided = (fate: string): Random => ({
  ...seededRandom(1),
  pick: <A>(values: ReadonlyArray<A>): A => values.find((value) => value === fate) ?? values[0]!,
  below: (bound) => fate === "Kept" ? bound - 1 : Math.floor(bound / 2),
  chance: () => fate === "Kept"
})

/** The pump's work after a moment of the clock: a few turns of the scheduler. */
const settled = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })

export class Script {
  #disk = new MemoryDisk()
  #lives = 0
  #reserveFileBytes = 0
  #running: Running | undefined
  #runtime = ManagedRuntime.make(quietClock)
  readonly #named = new Map<string, WalPosition>()
  #lines: Array<string> = []

  async run(command: string): Promise<string> {
    this.#lines = []
    const [verb = "", ...words] = command.split(" ")
    const verbs: Record<string, (words: ReadonlyArray<string>) => unknown> = {
      start: () => this.#start(),
      "reserve-file": ([bytes]) => { this.#reserveFileBytes = Number(bytes) },
      stop: () => this.#do(this.#running!.stop, () => "stopped"),
      append: (records) => this.#append(records),
      idle: () => this.#do(Effect.andThen(TestClock.adjust(1000), settled), () => "a second later"),
      "stop-after": ([count]) => this.#disk.stopAfter(this.#disk.operations + Number(count)),
      crash: ([fate]) => this.#cut((disk) => disk.crash(decided(`${fate![0]!.toUpperCase()}${fate!.slice(1)}`))),
      kill: () => this.#cut((disk) => disk.kill()),
      room: ([bytes]) => { this.#disk.capacityBytes = bytes === "plenty" ? Number.MAX_SAFE_INTEGER : this.#disk.usedBytes + Number(bytes) },
      fault: ([operation, fault, count = "1"]) => this.#fault(operation as DiskOperation, fault as DiskFault, Number(count)),
      replay: ([from]) => this.#replay(from),
      read: (names) => this.#read(names),
      release: ([consumer, from]) => this.#release(consumer as WalConsumer, from!),
      rot: ([place]) => this.#rot(place!),
      remove: ([segment]) => this.#disk.names.remove(segmentPath(Number(segment)), this.#disk.names.get(segmentPath(Number(segment))) as never),
      files: () => this.#files(),
      status: () => this.#status()
    }
    const act = verbs[verb]
    if (act === undefined) throw new Error(`no such command: ${command}`)
    await act(words)
    return this.#lines.join("\n")
  }

  #say(line: string): void {
    this.#lines.push(line)
  }

  /** Runs an effect to its end, or until the disk hangs it. */
  async #do<A, E>(effect: Effect.Effect<A, E>, say: (value: A) => string | undefined): Promise<Exit.Exit<A, E> | undefined> {
    const exit = await untilStopped(this.#disk, effect, (forked) => this.#runtime.runFork(forked))
    if (exit === undefined) this.#say("no answer: the power is off")
    else if (Exit.isSuccess(exit)) {
      const line = say(exit.value)
      if (line !== undefined) this.#say(line)
    } else this.#say(String(exit.cause).replace(/^Cause\(\[Fail\((.*)\)\]\)$/s, "$1"))
    return exit
  }

  #observe = (state: WalState, event: WalEvent, commands: ReadonlyArray<WalCommand>): void => {
    invariants(state)
    // The pump asks for more after every batch: only an answer is worth a line.
    if (event._tag === "Write" && commands.length === 0) return
    this.#say(`${told(event)}${commands.length === 0 ? "" : ` -> ${commands.map(asked).join(", ")}`}`)
  }

  async #start(): Promise<void> {
    this.#lives += 1
    this.#running = undefined
    this.#runtime = ManagedRuntime.make(quietClock)
    const exit = await this.#do(startWal(this.#disk, this.#lives, { observe: this.#observe, reserveFileBytes: this.#reserveFileBytes }), () => undefined)
    if (exit === undefined || Exit.isFailure(exit)) return
    this.#running = exit.value
    this.#status()
  }

  async #append(records: ReadonlyArray<string>): Promise<void> {
    const parsed = records.map((record) => record.split(":") as [string, RecordKind, string])
    const names = parsed.map(([name]) => name)
    await this.#do(Effect.gen({ self: this }, function*() {
      const ticket = yield* this.#running!.wal.append(
        parsed.map(([name, kind, bytes]) => recordOf(name.charCodeAt(0), Number(bytes), kind))
      )
      names.forEach((name, index) => this.#named.set(name, ticket.positions[index]!))
      yield* ticket.durable
    }), () => `durable: ${names.join(" ")}`)
  }

  #cut(how: (disk: MemoryDisk) => MemoryDisk): void {
    this.#disk = how(this.#disk)
    this.#running = undefined
  }

  /** The next `count` operations of this kind fail; several kinds may be set. */
  #fault(operation: DiskOperation, fault: DiskFault, count: number): void {
    let left = count
    const others = this.#disk.fault
    this.#disk.fault = (asked, path, number) => asked === operation && left-- > 0 ? fault : others?.(asked, path, number)
  }

  #place(from: string): WalPlace {
    const named = this.#named.get(from.replace(">", ""))
    if (named !== undefined) return from.endsWith(">") ? placeAfter(named) : named
    const [segment, offset] = from.split(":")
    return { segment: Number(segment), offset: Number(offset) }
  }

  async #replay(from: string | undefined): Promise<void> {
    const line = (kind: string, position: WalPosition, what: string): Effect.Effect<void> =>
      Effect.sync(() => this.#say(`${what} ${kind} at ${at(position)}+${position.length}`))
    await this.#do(this.#running!.wal.replay(
      from === undefined ? undefined : this.#place(from),
      ({ kind, payload, position }) => line(kind, position, String.fromCharCode(new DataView(payload.buffer, payload.byteOffset).getUint32(0))),
      (position, kind) => line(kind, position, "damaged:")
    ), () => "that is all")
  }

  async #read(names: ReadonlyArray<string>): Promise<void> {
    const positions = names.map((name) => this.#named.get(name)!)
    await this.#do(this.#running!.wal.readMany(positions), (payloads) =>
      payloads.map((payload) => `${toHex(payload.subarray(0, 12))} of ${payload.length} bytes`).join("\n"))
  }

  async #release(consumer: WalConsumer, from: string): Promise<void> {
    const place = from === "head" ? this.#running!.wal.head() : this.#place(from)
    await this.#do(this.#running!.wal.release(consumer, place), () => undefined)
  }

  #rot(place: string): void {
    const [base, more = "0"] = place.split("+")
    const { segment, offset } = this.#place(base!)
    this.#disk.corrupt(segmentPath(segment), offset + Number(more))
  }

  #files(): void {
    for (const [path, bytes] of this.#disk.contents()) this.#say(`${path} ${bytes.length} bytes`)
  }

  #status(): void {
    const { wal } = this.#running!
    const { phase, epoch, segments, bytes, batches, tornTail, failure } = wal.status()
    const torn = tornTail === undefined ? "" : `, torn tail of ${tornTail.bytes} bytes at ${at(tornTail)} (${tornTail.why})`
    this.#say(`${phase}: epoch ${epoch}, head ${at(wal.head())}, batch ${batches}, ${segments} segments of ${bytes} bytes${torn}`)
    if (failure !== undefined) this.#say(failure)
  }
}

export const runScript = (text: string): Promise<string> => {
  const script = new Script()
  return playScript(text, (command) => script.run(command))
}
