/**
 * JournalSteps: every step that the journal takes in all lives of a world, judged as it is taken by spec/WalMonitor, which
 * says the rules of tla/wal/Wal.tla a second time. It sits between the journal's observers and the monitor.
 */
import { Refusal } from "../../spec/WalDisk.ts"
import { WalMonitor } from "../../spec/WalMonitor.ts"
import type { WalStep } from "../../spec/WalTrace.ts"
import type { Ending } from "../faults/CrashPlan.ts"
import { claim } from "../Violation.ts"
import { WalRecorder } from "../WalRecorder.ts"
import type { Checker, MakeChecker } from "./Checker.ts"

class JournalSteps implements Checker {
  readonly name = "journal's steps"
  readonly #monitor = new WalMonitor()
  readonly #recorder = new WalRecorder((step) => this.#judge(step))
  readonly journal = { observe: this.#recorder.observe, observeRecovery: this.#recorder.observeRecovery }
  #merciless = false
  #steps = 0
  /** Why the first step that cannot be cannot be. */
  #refused: string | undefined

  /** The merciless harm the journal's files, which is no step of it: nobody says then what recovery should have found. */
  readonly begin = ({ merciless }: { readonly merciless: boolean }): void => {
    this.#merciless = merciless
  }

  readonly heard = (): void => this.#claim()

  /** A clean stop is a process that is gone, as SIGKILL leaves it: what it synced shows in its steps. */
  readonly died = (ending: Ending): void => {
    this.#recorder.died(ending === "PowerCut" ? "Crash" : "Kill")
    this.#claim()
  }

  /** Runs inside the node: what it finds is said outside. */
  #judge(step: WalStep): void {
    if (this.#merciless || this.#refused !== undefined) return
    try {
      this.#monitor.step(step)
      this.#steps += 1
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      this.#refused = `the journal's step ${this.#steps} is none of its model: ${step.action}: ${error.message}: ${JSON.stringify(step)}`
    }
  }

  #claim(): void {
    claim(this.#refused === undefined, this.#refused ?? "")
  }
}

export const journalStepsChecker: MakeChecker = () => new JournalSteps()
