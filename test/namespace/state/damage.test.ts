import { Effect, Exit } from "effect"
import { describe, expect, it } from "vitest"
import { fromByteString, toUtf8 } from "../../../src/base/bytes.ts"
import { crc32c } from "../../../src/base/hash.ts"
import { checkpointName, encodeCheckpointHeader } from "../../../src/namespace/CheckpointFormat.ts"
import { headKey, headTable, rebuildKey } from "../../../src/namespace/CheckpointHead.ts"
import { nodeTable } from "../../../src/namespace/TreeStore.ts"
import type { StateService } from "../../../src/namespace/State.ts"
import { MemoryKeyValue } from "../../../sim/KeyValue.ts"
import { seededRandom } from "../../../sim/Random.ts"
import { applyTo, drawChanges, folder, Machine, type Model, rowsOf, rowsOfModel, stampOf } from "./harness.ts"

const rounds = 4
const random = seededRandom(5)
const batches = Array.from({ length: rounds }, () => drawChanges(random, 600, 1500))
const models: Array<Model> = [new Map()]
for (const batch of batches) models.push(applyTo(models.at(-1)!, batch))

/** A machine with `rounds` generations behind it. */
const aged = async (): Promise<Machine> => {
  const machine = new Machine()
  await machine.run((state) =>
    Effect.gen(function*() {
      for (const [round, batch] of batches.entries()) {
        state.write(batch, stampOf(round + 1))
        yield* state.checkpoint
      }
    })
  )
  return machine
}

const expectAt = (machine: Machine, sequence: number, rebuilt: boolean): Promise<void> =>
  machine.run((state) =>
    Effect.sync(() => {
      expect(state.stamp()).toEqual(stampOf(sequence))
      expect(rowsOf(state)).toEqual(rowsOfModel(models[sequence]!))
      expect(state.status().rebuilt).toBe(rebuilt)
      expect(machine.index.entries().filter(([table]) => table === nodeTable).length).toBe(state.status().nodes)
    })
  )

const path = (kind: "base" | "delta", generation: number): string => `${folder}/${checkpointName(kind, generation)}`
const nodesOf = (machine: Machine) => machine.index.entries().filter(([table]) => table === nodeTable)
const put = (machine: Machine, table: string, key: Uint8Array, value: Uint8Array): Promise<void> =>
  Effect.runPromise(machine.index.service.commit([{ _tag: "Put", table, key, value }]))

describe("state: damage", () => {
  it("an index that is missing is rebuilt from the checkpoint files, to the same root", async () => {
    const machine = await aged()
    const root = await machine.run((state) => Effect.sync(() => state.root()))
    machine.index = new MemoryKeyValue()
    await expectAt(machine, rounds, true)
    expect(await machine.run((state) => Effect.sync(() => state.root()))).toBe(root)
    await expectAt(machine, rounds, false)
  })

  it("an index full of garbage is rebuilt, and nothing of the garbage stays", async () => {
    const machine = await aged()
    machine.index = new MemoryKeyValue()
    for (let index = 0; index < 50; index++) await put(machine, index % 2 === 0 ? nodeTable : headTable, random.bytes(12), random.bytes(100))
    await put(machine, headTable, headKey, random.bytes(126))
    await expectAt(machine, rounds, true)
    await expectAt(machine, rounds, false)
  })

  it("an index that is generations behind catches up from the deltas, without a rebuild", async () => {
    const machine = new Machine()
    const keep: Array<MemoryKeyValue> = []
    for (const [round, batch] of batches.entries()) {
      await machine.run((state) => Effect.andThen(Effect.sync(() => state.write(batch, stampOf(round + 1))), state.checkpoint))
      keep.push(machine.index)
      machine.index = machine.index.kill()
    }
    for (const index of keep) {
      machine.index = index.kill()
      await expectAt(machine, rounds, false)
    }
  })

  it("a newest checkpoint that rotted anywhere is left for the one before it, and its bytes are kept", async () => {
    const size = (await aged()).disk.contents().get(path("delta", rounds))!.length
    for (let step = 1; step < 12; step++) {
      const machine = await aged()
      machine.disk.corrupt(path("delta", rounds), step === 11 ? size - 1 : Math.floor(size * step / 12))
      machine.index = new MemoryKeyValue()
      await machine.run((state) =>
        Effect.gen(function*() {
          expect(state.stamp()).toEqual(stampOf(rounds - 1))
          expect(rowsOf(state)).toEqual(rowsOfModel(models[rounds - 1]!))
          // The journal covers the rest; the next checkpoint is a base, since a file was found damaged.
          state.write(batches[rounds - 1]!, stampOf(rounds))
          yield* state.checkpoint
        })
      )
      expect(machine.files()).toContain(`${checkpointName("delta", rounds)}.damaged`)
      expect(machine.files()).toContain(checkpointName("base", rounds))
      await expectAt(machine, rounds, false)
      machine.index = new MemoryKeyValue()
      await expectAt(machine, rounds, true)
    }
  })

  it("a newest checkpoint that cannot be read for a while is not left for one that the journal does not reach: nothing is set aside, and it is there the next time", async () => {
    const machine = await aged()
    machine.index = new MemoryKeyValue()
    machine.journalReaches = ({ offset }) => offset >= stampOf(rounds).wal.offset
    machine.disk.fault = (operation, where) => (operation === "read" && where === path("delta", rounds) ? "Io" : undefined)
    const exit = await machine.exit(() => Effect.void)
    expect(Exit.isFailure(exit) && String(exit.cause)).toMatch(/Io.*too old for the journal/s)
    expect(machine.files().filter((name) => name.endsWith(".damaged"))).toEqual([])
    machine.disk.fault = undefined
    await expectAt(machine, rounds, true)
  })

  it("a checkpoint whose version has rotted is damage, and no newer one: an older one stands in for it", async () => {
    const machine = await aged()
    machine.index = new MemoryKeyValue()
    machine.disk.corrupt(path("delta", rounds), 9, (version) => version + 1)
    await expectAt(machine, rounds - 1, true)
  })

  it("a checkpoint of a newer format is refused, and nothing is touched", async () => {
    const machine = await aged()
    const newer = Buffer.from(encodeCheckpointHeader("delta", rounds))
    newer.writeUInt16BE(2, 8)
    newer.writeUInt32BE(crc32c(newer.subarray(0, 28)), 28)
    for (const [at, byte] of newer.entries()) machine.disk.corrupt(path("delta", rounds), at, () => byte)
    const before = machine.disk.contents()
    const index = machine.index.entries()
    const exit = await machine.exit(() => Effect.void)
    expect(Exit.isFailure(exit) && String(exit.cause)).toMatch(/UnknownFormat.*newer/s)
    expect(machine.disk.contents()).toEqual(before)
    expect(machine.index.entries()).toEqual(index)
  })

  it("a damaged delta in the middle of the chain is named when nothing else is left, and hurts nobody while the index is good", async () => {
    const machine = await aged()
    machine.disk.corrupt(path("delta", 2), 200)
    await expectAt(machine, rounds, false)
    machine.index = new MemoryKeyValue()
    const exit = await machine.exit(() => Effect.void)
    expect(Exit.isFailure(exit) && String(exit.cause)).toMatch(/Damaged.*0000000000000002\.delta/s)
  })

  /** The index is lost, a delta damaged, and the journal is said to go from its beginning to this offset. */
  const withJournalTo = async (offset: number): Promise<Machine> => {
    const machine = await aged()
    machine.disk.corrupt(path("delta", 2), 200)
    machine.index = new MemoryKeyValue()
    machine.journalHoldsAll = (upTo) => upTo.segment === 1 && upTo.offset <= offset
    return machine
  }

  it("where the journal has everything from its beginning, it stands for checkpoints that cannot be read, and the files are kept", async () => {
    const machine = await withJournalTo(stampOf(rounds).wal.offset)
    expect(await machine.run((state) => Effect.sync(() => [state.stamp(), rowsOf(state)]))).toEqual([stampOf(0), []])
    expect(machine.files().filter((name) => name.endsWith(".damaged")).length).toBe(rounds)
  })

  it("a journal that ends before what a checkpoint is known to hold does not stand for it, and nothing is set aside", async () => {
    const machine = await withJournalTo(stampOf(rounds).wal.offset - 1)
    const exit = await machine.exit(() => Effect.void)
    expect(Exit.isFailure(exit) && String(exit.cause)).toMatch(/Damaged.*0000000000000002\.delta/s)
    expect(machine.files().filter((name) => name.endsWith(".damaged"))).toEqual([])
  })

  it.each([1, 2, 3, 4])("removing old files breaks off at the %i. of them: the next checkpoint goes on where it stopped", async (nth) => {
    const machine = new Machine()
    machine.deltasMax = 3
    await machine.run((state) => Effect.gen(function*() {
      let removals = 0
      machine.disk.fault = (operation, name) => operation === "remove" && !name.endsWith(".tmp") && (removals += 1) === nth ? "Io" : undefined
      const failed: Array<number> = []
      for (let round = 1; round <= 12; round += 1) {
        state.write(drawChanges(random, 50, 1500), stampOf(round))
        if (Exit.isFailure(yield* Effect.exit(state.checkpoint))) failed.push(round)
      }
      expect(removals).toBeGreaterThan(nth)
      expect(failed.length).toBe(1)
    }))
  })

  it("a rebuild that is asked for gives the same rows; where the files cannot stand for the index, it is left as it is", async () => {
    const machine = await aged()
    machine.rebuild = true
    await expectAt(machine, rounds, true)
    machine.disk.corrupt(path("delta", 2), 200)
    const before = machine.index.entries()
    const exit = await machine.exit(() => Effect.void)
    expect(Exit.isFailure(exit) && String(exit.cause)).toMatch(/left as it is.*0000000000000002\.delta/s)
    expect(machine.index.entries()).toEqual(before)
    machine.rebuild = false
    await expectAt(machine, rounds, false)
  })

  it("checkpoint files that are gone while the index has a generation are no empty state", async () => {
    const machine = await aged()
    for (let generation = 1; generation <= rounds; generation++) await Effect.runPromise(machine.disk.service.remove(path("delta", generation)))
    const exit = await machine.exit(() => Effect.void)
    expect(Exit.isFailure(exit) && String(exit.cause)).toMatch(/Damaged.*restore/s)
  })

  it("a delta that changed places with another is not taken for it", async () => {
    const machine = await aged()
    await Effect.runPromise(machine.disk.service.rename(path("delta", 2), path("delta", 4)))
    machine.index = new MemoryKeyValue()
    const exit = await machine.exit(() => Effect.void)
    expect(Exit.isFailure(exit) && String(exit.cause)).toMatch(/Damaged/)
  })

  it("a node that rotted in the index is a defect for its reader, and the next start rebuilds", async () => {
    const machine = await aged()
    const nodes = nodesOf(machine)
    const [table, key, value] = nodes[Math.floor(nodes.length / 2)]!
    await put(machine, table, key, value.map((byte, index) => (index === 50 ? byte ^ 4 : byte)))
    const exit = await machine.exit((state) =>
      Effect.gen(function*() {
        const failed = yield* Effect.exit(Effect.sync(() => rowsOf(state)))
        while (machine.index.service.get(headTable, rebuildKey) === undefined) yield* Effect.yieldNow
        expect(state.indexDamage()?.detail).toMatch(/^node .*rebuilt at the next start$/)
        return failed
      })
    )
    expect(Exit.isSuccess(exit) && String(exit.value)).toMatch(/Index.*rebuilt at the next start/s)
    await expectAt(machine, rounds, true)
    await expectAt(machine, rounds, false)
  })

  it("a start that meets a rotten node and fails at once leaves the mark all the same: the next one rebuilds", async () => {
    const count = nodesOf(await aged()).length
    let met = 0
    for (let at = 0; at < count; at += Math.ceil(count / 6)) {
      const machine = await aged()
      const [table, key, value] = nodesOf(machine)[at]!
      await put(machine, table, key, value.map((byte, index) => (index === 50 ? byte ^ 4 : byte)))
      // What replays the journal reads rows as it starts; its scope closes with the defect, and nobody waits.
      const exit = await machine.exit((state) => Effect.sync(() => rowsOf(state)))
      if (Exit.isSuccess(exit)) continue
      met += 1
      expect(String(exit.cause)).toMatch(/Index.*rebuilt at the next start/s)
      expect(machine.index.service.get(headTable, rebuildKey)).toBeDefined()
      // What was marked is durable: neither a kill nor a power cut after the failed start takes the mark away.
      machine.index = machine.index.crash(seededRandom(at))
      await expectAt(machine, rounds, true)
      await expectAt(machine, rounds, false)
    }
    expect(met).toBeGreaterThan(1)
  })

  it("a new base makes older files obsolete, two bases stay, and each can be rebuilt from", async () => {
    const machine = new Machine()
    const rows = (round: number) => Array.from({ length: 500 }, (_, index) =>
      [`r${String(index).padStart(5, "0")}`, fromByteString(`${round}-`.padEnd(4000, String(index)))] as const)
    let sequence = 0
    const save = (state: StateService) => Effect.suspend(() => {
      sequence += 1
      state.write(rows(sequence), stampOf(sequence))
      return state.checkpoint
    })
    // 2 MB a delta: a base is due after every 16 MiB of them.
    await machine.run((state) => Effect.forEach(Array.from({ length: 30 }), () => save(state)))
    const bases = machine.files().filter((name) => name.endsWith(".base"))
    expect(bases).toHaveLength(2)
    expect(machine.files()[0]).toBe(bases[0])
    const expected = await machine.run((state) => Effect.sync(() => [state.root(), rowsOf(state).length] as const))
    for (const damaged of [undefined, bases[1]!]) {
      if (damaged !== undefined) machine.disk.corrupt(`${folder}/${damaged}`, 5000)
      machine.index = new MemoryKeyValue()
      expect(await machine.run((state) => Effect.sync(() => [state.root(), rowsOf(state).length] as const))).toEqual(expected)
    }
  })

  describe("a base that has rotted, and that no start reads while the index is good (short 1601230)", () => {
    const save = (machine: Machine, from: number, to = from) =>
      machine.run((state) => Effect.forEach(Array.from({ length: to - from + 1 }, (_, index) => from + index), (sequence) => {
        state.write(drawChanges(seededRandom(sequence), 100, 300), stampOf(sequence))
        return state.checkpoint
      }))
    const bases = (machine: Machine) => machine.files().filter((name) => name.endsWith(".base"))
    /** The newest of two bases rots; then a third is made. */
    const rotten = async (to = 6): Promise<Machine> => {
      const machine = new Machine()
      machine.deltasMax = 2
      await save(machine, 1, 5)
      expect(bases(machine)).toEqual([checkpointName("base", 2), checkpointName("base", 4)])
      machine.disk.corrupt(path("base", 4), 200)
      await save(machine, 6, to)
      return machine
    }

    it("stands for nothing: what the new base would have made obsolete stays, until two bases can be read", async () => {
      const machine = await rotten()
      expect(bases(machine)).toEqual([checkpointName("base", 2), checkpointName("base", 4), checkpointName("base", 6)])
      // In the same life the next generation has one; a start does not know, and makes one when it is due.
      expect(bases(await rotten(7))).toEqual([checkpointName("base", 6), checkpointName("base", 7)])
      await save(machine, 7, 8)
      expect(bases(machine)).toEqual([checkpointName("base", 6), checkpointName("base", 8)])
    })

    it("costs nothing where the newest generation cannot be read either, and the index is lost", async () => {
      const machine = await rotten()
      for (const kind of ["base", "delta"] as const) machine.disk.corrupt(path(kind, 6), 20)
      machine.index = new MemoryKeyValue()
      expect(await machine.run((state) => Effect.sync(() => state.stamp()))).toEqual(stampOf(5))
    })
  })

  it("names, values and markers are in no file, key or value in clear", async () => {
    const marker = "MARKER-0f6b"
    const machine = new Machine()
    await machine.run((state) =>
      Effect.gen(function*() {
        state.write(Array.from({ length: 200 }, (_, index) => [`v${marker}${index}`, toUtf8(`${marker} in a value ${index}`)]), stampOf(1))
        yield* state.checkpoint
      })
    )
    const places = [...machine.disk.contents().values(), ...machine.index.entries().flatMap(([, key, value]) => [key, value])]
    expect(places.length).toBeGreaterThan(5)
    for (const bytes of places) expect(Buffer.from(bytes).includes(marker)).toBe(false)
  })
})
