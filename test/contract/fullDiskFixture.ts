/** Commits to an index whose file may not grow, as on a full disk, and lives on. Run under a limit by keyValue.test.ts. */
import { Effect } from "effect"
import * as Lmdb from "../../src/adapters/Lmdb.ts"
import { bytes, put } from "./keyValue.ts"

const folder = process.argv[2] ?? ""
const tags: Array<string> = []
await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
  const index = yield* Lmdb.openAt(folder)
  for (const size of [100, 2_000_000, 2_000_000, 100]) {
    tags.push((yield* Effect.exit(index.commit([put("t", bytes(tags.length + 1), new Uint8Array(size)), put("t", bytes(9), bytes(9))])))._tag)
    // Whatever nobody heard of has ended the process by now.
    yield* Effect.sleep(50)
  }
})))
console.log(tags.join())
