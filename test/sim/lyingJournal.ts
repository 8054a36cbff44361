/** A world in which a checker of the journal is told something else than what the journal did: whoever judges its steps must hear of it. */
import { Effect } from "effect"
import { makeCrc64 } from "../../src/gateway/s3/Checksums.ts"
import type { WalObserver } from "../../src/wal/WalPumpService.ts"
import type { RecoveryObserver } from "../../src/wal/WalRecoveryService.ts"
import type { MakeChecker } from "../../sim/checker/Checker.ts"
import { durabilityWorkload } from "../../sim/workload/Durability.ts"
import { objectsWorkload } from "../../sim/workload/Objects.ts"
import { runWorld, type WorldReport } from "../../sim/World.ts"

const crc64 = await Effect.runPromise(makeCrc64)

/** What the checker is told instead. */
export interface Lie {
  readonly observe?: (tell: WalObserver) => WalObserver
  readonly observeRecovery?: (tell: RecoveryObserver) => RecoveryObserver
}

export const lying = (make: MakeChecker, { observe, observeRecovery }: Lie): MakeChecker => () => {
  const inner = make()
  const eyes = inner.journal!
  const { applied, died, heard } = inner
  return {
    name: "lied to", begin: (world) => inner.begin?.(world), ...(applied && { applied }), ...(died && { died }), ...(heard && { heard }),
    journal: { observe: observe?.(eyes.observe!) ?? eyes.observe!, observeRecovery: observeRecovery?.(eyes.observeRecovery!) ?? eyes.observeRecovery! }
  }
}

export const worldOf = (make: MakeChecker, merciless = false): WorldReport =>
  runWorld({ seed: 4, profile: "short", workloads: [objectsWorkload, durabilityWorkload], checkers: [make], crc64, operations: 40, merciless })

/** Told everything as it was: what the world came to, and how many steps it was told of. */
export const honestWorldOf = (make: MakeChecker): WorldReport & { readonly told: number } => {
  let told = 0
  const report = worldOf(lying(make, { observe: (tell) => (...step) => {
    told += 1
    tell(...step)
  } }))
  return { ...report, told }
}
