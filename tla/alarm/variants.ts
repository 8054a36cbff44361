/** One variant for each fault of variants that the runner must see, and two that are as they should be. */
import type { Variant } from "../Model.ts"

export const variants: ReadonlyArray<Variant> = [
  {
    name: "the unbroken protocol", rule: "none", expect: "Bounded",
    edits: [{ find: "Add == count < Max", replace: "Add == count < Max + 0" }]
  },
  {
    name: "another name", rule: "none", expect: "Exact",
    edits: [{ find: "Add == count < Max", replace: "Add == count <= Max" }]
  },
  {
    name: "a text that is not there", rule: "none", expect: "Bounded",
    edits: [{ find: "Add == count = Max", replace: "Add == TRUE" }]
  },
  {
    name: "an invariant", rule: "none", expect: "Bounded",
    edits: [{ find: "Add == count < Max", replace: "Add == count <= Max" }]
  },
  {
    name: "a property", rule: "none", expect: "Ends",
    edits: [{ find: "/\\ WF_count(Next)", replace: "" }]
  }
]
