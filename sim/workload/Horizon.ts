/** Horizon: how far back history goes, as its readers are told: it only ever moves forward. Between AS OF reads and what they claim. */
import { claim } from "../Violation.ts"
import { type Answered, codeOf } from "./Answer.ts"

export class Horizon {
  #passed = -1

  /** The newest commit that was said to be before it: to be looked at when a read is sent, whose answer may come late. */
  get passed(): number {
    return this.#passed
  }

  /** `passed`: what had passed when it was asked. False: the commit is before the horizon, and the answer says so, as it did for all before it. */
  judge(commit: number, answer: Answered, what: string, passed: number): boolean {
    const code = answer.status === 400 ? codeOf(answer) : ""
    if (code === "AsOfBeforeHorizon") {
      this.#passed = Math.max(this.#passed, commit)
      return false
    }
    claim(code === "", `${what}: AS OF commit ${commit}, which was acknowledged, is answered ${code}`)
    claim(commit > passed, `${what}: commit ${commit} is read again, and commit ${passed} was before the horizon`)
    return true
  }
}
