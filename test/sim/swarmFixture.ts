/** A process of a swarm that doubles numbers, the small ones late; a negative one ends it. */
import { answering } from "../../sim/Swarm.ts"

const quarter = new Int32Array(new SharedArrayBuffer(4))

answering((number: number) => {
  if (number < 0) process.exit(3)
  Atomics.wait(quarter, 0, 0, 30 / number)
  return 2 * number
})
