/** worker: a process of a swarm of whole members: a seed in, what its world came to out. */
import { underTraps } from "../../sim/Ambient.ts"
import type { ProfileName } from "../../sim/Profile.ts"
import { answering } from "../../sim/Swarm.ts"
import { runCluster, sizes, type WorldSeen } from "./ClusterWorld.ts"

export interface Job {
  readonly seed: number
  readonly profile: ProfileName
}

export interface Result extends Job {
  /** What went wrong with the world itself: it has no verdict. */
  readonly crash: string | undefined
  readonly seen: WorldSeen | undefined
}

const judge = (job: Job): Result => {
  try {
    return { ...job, crash: undefined, seen: underTraps(() => runCluster(job.seed, sizes[job.profile])) }
  } catch (error) {
    return { ...job, crash: error instanceof Error ? error.stack ?? error.message : String(error), seen: undefined }
  }
}

answering(judge)
