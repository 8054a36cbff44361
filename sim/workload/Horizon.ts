/** Horizon: how far back history goes, as its readers are told: it only ever moves forward. Between AS OF reads and what they claim. */
import { claim } from "../Violation.ts"
import { type Answered, codeOf } from "./Answer.ts"

export class Horizon {
  /** The newest commit that was said to be before it. */
  #refused = -1

  /** False: the commit is before the horizon, and the answer says so, as it did for all before it. */
  judge(commit: number, answer: Answered, what: string): boolean {
    const code = answer.status === 400 ? codeOf(answer) : ""
    if (code === "AsOfBeforeHorizon") {
      this.#refused = Math.max(this.#refused, commit)
      return false
    }
    claim(code === "", `${what}: AS OF commit ${commit}, which was acknowledged, is answered ${code}`)
    claim(commit > this.#refused, `${what}: commit ${commit} is read again, and commit ${this.#refused} was before the horizon`)
    return true
  }
}
