/**
 * A program of its own, for lmdbCrash.test.ts. `write folder marks seed`: fills an index, tells what was begun and what is
 * flushed, and kills itself. `read folders…`: opens each as a start does, and prints what is in it, a line each.
 */
import { openSync, writeSync } from "node:fs"
import { Effect } from "effect"
import * as Lmdb from "../../src/adapters/Lmdb.ts"
import { digestOf, entriesOf, storyOf } from "./lmdbCrash.ts"

const write = (folder: string, marks: string, seed: number) => {
  const fd = openSync(marks, "w")
  const mark = (text: string): void => void writeSync(fd, `${text}\n`)
  return Effect.scoped(Effect.gen(function*() {
    const index = yield* Lmdb.openAt(folder)
    let count = 0
    for (const { commits, flushes } of storyOf(seed)) {
      yield* Effect.forEach(commits, (changes) => Effect.suspend(() => {
        count += 1
        mark(`begun ${count}`)
        return changes === "wipe" ? index.wipe : index.commit(changes)
      }), { concurrency: "unbounded", discard: true })
      if (!flushes) continue
      yield* index.flushed
      mark(`flushed ${count}`)
    }
    mark("done")
    process.kill(process.pid, "SIGKILL")
  }))
}

const read = (folders: ReadonlyArray<string>) =>
  Effect.forEach(folders, (folder) =>
    Effect.scoped(Effect.map(Lmdb.openOrReset(folder), ({ service, wasReset, why }) =>
      writeSync(1, `${wasReset ? `reset ${why.replaceAll("\n", " ")}` : digestOf(entriesOf(service))}\n`))), { discard: true })

const [mode, ...args] = process.argv.slice(2)
await Effect.runPromise(mode === "write" ? write(args[0]!, args[1]!, Number(args[2])) : read(args))
