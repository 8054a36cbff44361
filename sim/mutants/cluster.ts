/**
 * Mutants of what makes several members one store: copies of blocks, the steward, leadership, who is told what. The stories of the file that is changed judge them (test/mutants/run.ts says which).
 */
import { type Mutant, mutant } from "./Mutant.ts"

const planted = (file: string) => (id: string, what: string, find: string, replace: string): Mutant => mutant("cluster", id, what, `cluster/${file}.ts`, find, replace)

const copies = planted("BlockCopiesService")
const lanes = planted("BlockLanes")
const steward = planted("Steward")
const stewarding = planted("StewardService")
const handing = planted("HandOver")
const presence = planted("Presence")
const welcome = planted("Welcome")
const table = planted("MembershipReplica")

export const clusterMutants: ReadonlyArray<Mutant> = [
  { ...copies("named-before-copied", "a block may be named that lies on one disk", `if (copies >= wanted) Deferred`, `if (copies >= 0) Deferred`), breaksMembers: true },
  { ...copies("too-few-is-enough", "what came to too few members is acknowledged", `  if (enough) return\n`, `  if (wanted >= 0) return\n`), breaksMembers: true },
  copies("copy-of-another", "a member keeps a copy whose frame is another's", `  if (arrival.hash === hash) return\n`, `  if (arrival.hash !== "") return\n`),
  copies("given-up-counts", "a copy that was given up in the middle counts, where somebody has it open", `  if (unfinished.has(block)) yield* local.remove(block)\n`, ``),
  copies("copies-by-who-leaves", "copies at members that are about to leave count", `others.filter(room.counts ?? (() => true))`, `others`),
  copies("region-unjudged", "what another member gives for a region is believed", `bytes.length === lengthBytes && equalBytes(hashBytes(bytes), fromHex(sealedHash))`, `bytes.length === lengthBytes && sealedHash !== ""`),
  { ...copies("taken-before-gone", "what was taken for another before this node began anew is removed at its start", `!kept.has(block) || isNamed(block)`, `kept.size >= 0 || isNamed(block)`), breaksMembers: true },
  copies("lacks-nothing", "a member says that it lacks nothing, whatever it could not bring", `    count += 1\n`, ``),
  lanes("one-lane", "copies to a member that is silent hold back those to others", `#laneTo(node: NodeId): Lane {\n`, `#laneTo(to: NodeId): Lane {\n    const node = to.slice(0, 0) as NodeId\n`),
  lanes("late-waits", "what is late for a silent member waits in memory, however much of it there is", `lane.waiting <= blockCopiesLateMax ? Effect.never`, `lane.waiting >= 0 ? Effect.never`),
  steward("votes-unready", "a learner votes before it has caught up", `learners.filter((id) => isStaying(id) && isReady(id))`, `learners.filter(isStaying)`),
  steward("enters-voting", "a new member votes at once", `[...voters.filter((id) => id === self || !leaves(id)), ...promoted]`, `[...voters.filter((id) => id === self || !leaves(id)), ...promoted, ...entering]`),
  steward("leads-and-goes", "who leads takes itself out of the voters", `voters.filter((id) => id === self || !leaves(id))`, `voters.filter((id) => !leaves(id))`),
  steward("goes-undrained", "a member goes while others lack what it holds", `(row.leaving.isForced || isDrained)`, `(row.leaving.isForced || row.leaving !== undefined)`),
  steward("in-the-middle", "a change begins before the last one is committed", `if (isJoint(configuration) || configurationIndex > commit) return`, `if (isJoint(configuration)) return`),
  steward("gone-too-early", "a member is none while a configuration still has it", `leaving !== undefined && !isIn(configuration, id))`, `leaving !== undefined && id !== "")`),
  steward("majority-of-the-dead", "a change leaves voters of whom most are gone", `hasMajority(target.voters, isReady)`, `target.voters.length > 0`),
  stewarding("unfenced", "the steward acts on what it believed when it led", `fenced._tag === "Success" && status.role === "Leader" && status.term === before.term ? status : undefined`, `fenced._tag !== "Failure" || status.term > 0 ? status : undefined`),
  stewarding("drained-by-old-looks", "a look from before the leave says that nothing is lacking", `of.count === 0 && of.index >= least`, `of.count === 0`),
  handing("to-nobody", "leadership is handed to a voter that is gone", `configuration.voters.filter((voter) => voter !== self && isUp(voter))`, `configuration.voters.filter((voter) => voter !== self)`),
  handing("to-a-learner", "leadership is handed to who does not vote", `configuration.voters.includes(wanted) ? wanted`, `wanted !== "" ? wanted`),
  presence("silent-followers", "only once does a member say that it is there", `Effect.forever(Effect.andThen(round, Effect.sleep(presenceMs)))`, `Effect.andThen(round, Effect.sleep(presenceMs))`),
  welcome("any-version", "a welcome of another form is taken", `version !== format || rest.master.length !== masterBytes`, `version < 0`),
  table("stale-table", "the members' table is read without a fence", `    Effect.mapError(fence(), ({ message }) => busy(message)),\n`, `    Effect.void,\n`)
]
