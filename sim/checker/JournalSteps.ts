/**
 * JournalSteps: every step that the journal takes in all lives of a world, judged by spec/WalMonitor, which says the rules
 * of tla/wal/Wal.tla a second time. It sits between the journal's observers and the monitor.
 */
import { Effect } from "effect"
import { judge } from "../../spec/WalMonitor.ts"
import type { Ending } from "../faults/CrashPlan.ts"
import { claim } from "../Violation.ts"
import { WalRecorder } from "../WalRecorder.ts"
import type { AtRest, Checker, MakeChecker } from "./Checker.ts"

class JournalSteps implements Checker {
  readonly name = "journal's steps"
  readonly #recorder = new WalRecorder()
  readonly journal = { observe: this.#recorder.observe, observeRecovery: this.#recorder.observeRecovery }

  /** A clean stop is a process that is gone, as SIGKILL leaves it: what it synced shows in its steps. */
  readonly died = (ending: Ending): void => this.#recorder.died(ending === "PowerCut" ? "Crash" : "Kill")

  /** The merciless harm the journal's files, which is no step of it: nobody says then what recovery should have found. */
  readonly atRest = ({ merciless, probe }: AtRest) =>
    Effect.sync(() => {
      if (merciless) return
      // As far as it has come: a trace ends with the end of a life.
      this.#recorder.died("Kill")
      const trace = this.#recorder.finish()
      const verdict = judge(trace)
      if (verdict._tag === "Accepted") return probe("journal's steps: accepted")
      claim(false, `the journal's step ${verdict.index} of ${trace.length} is none of its model: ${verdict.why}: ${JSON.stringify(verdict.step)}`)
    })
}

export const journalStepsChecker: MakeChecker = () => new JournalSteps()
