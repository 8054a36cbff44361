/**
 * Members of a cluster under unmodified clients: each suite at one member, what one was given asked of the others, and a restart that rolls through all of them
 * while boto3 goes on. Sits between Trio, which starts and stops members as an operator does, and run.ts.
 */
import { fileURLToPath } from "node:url"
import { cleanEnvironment, spawnWatched } from "../e2e/server.ts"
import { type Host, Trio } from "../cluster/Trio.ts"
import { assertSame, assertThat, type Case, CaseFailed } from "./Case.ts"
import type { Clients } from "./install.ts"

const rollingScript = fileURLToPath(new URL("rolling.py", import.meta.url))
/**
 * The longest time until an operation was answered, at whichever member: an election takes one to three seconds on a machine that is shared; who is silent is given up after three
 * (TRY_SECONDS_MAX of rolling.py), and the next who is asked may still look for the new leader.
 */
export const outageMsMax = 12_000
/** Acknowledged between two blows. */
const putsBetween = 40
const progressMsMax = 30_000
const judgedMsMax = 60_000

interface RollingReport {
  readonly puts: number
  readonly gets: number
  readonly refused: number
  readonly longestMs: number
  readonly wrong: ReadonlyArray<string>
}

export const openCluster = async (): Promise<Trio> => {
  const trio = await Trio.open()
  await trio.vote(3)
  return trio
}

export const endpointsOf = (trio: Trio): string => trio.hosts.map(({ s3 }) => s3).join(" ")

/** What one that is stopped by SIGTERM or SIGINT has to do. */
const stopWell = async (trio: Trio, host: Host): Promise<void> => {
  const ended = host.server?.ended
  await trio.stop(host)
  assertSame(await ended, { code: 0, signal: null }, `the end of ${host.name} by SIGTERM`)
}

const restarted = async (trio: Trio, clients: Clients): Promise<void> => {
  const first = trio.hosts[0]!.server!
  const script = spawnWatched(clients.botoNew, ["-W", "ignore", rollingScript], {
    env: cleanEnvironment({ ENDPOINTS: endpointsOf(trio), ACCESS_KEY: first.accessKey, SECRET_KEY: first.secretKey, PREFIX: "boto", PYTHONDONTWRITEBYTECODE: "1", AWS_EC2_METADATA_DISABLED: "true" })
  })
  const acknowledged = (): number => Number([...script.output().matchAll(/^acknowledged (\d+)$/gm)].at(-1)?.[1] ?? 0)
  const progress = async (): Promise<void> => {
    const [from, beganMs] = [acknowledged(), performance.now()]
    while (acknowledged() < from + putsBetween) {
      if (performance.now() - beganMs > progressMsMax) throw new CaseFailed(`${acknowledged() - from} puts in ${progressMsMax} ms\n${script.output().slice(-3000)}`)
      await new Promise((resolve) => void setTimeout(resolve, 50))
    }
  }
  try {
    for (const host of trio.hosts) {
      await progress()
      await stopWell(trio, host)
      await progress()
      await trio.start(host)
    }
    await progress()
    const leader = await trio.leader()
    await trio.stop(leader, "SIGKILL")
    await progress()
    await trio.start(leader)
    await progress()
    await trio.until("all know who leads", ({ leader: known, quorum }) => known !== null && quorum)
    script.child.kill("SIGTERM")
    const [text] = await script.line(/^\{.*\}$/m, judgedMsMax)
    const report = JSON.parse(text) as RollingReport
    console.log(`           | rolling restart: ${report.puts} puts, ${report.gets} gets, ${report.refused} tries refused; longest until an answer ${report.longestMs} ms, ${outageMsMax} ms at most`)
    assertSame(report.wrong, [], "what boto3 was told")
    assertThat(report.longestMs <= outageMsMax, `an operation took ${report.longestMs} ms, more than an election (${outageMsMax} ms)`)
  } catch (problem) {
    throw new CaseFailed(`${problem instanceof Error ? problem.message : String(problem)}\n${trio.logs().slice(-6000)}`)
  } finally {
    script.child.kill("SIGKILL")
    await script.ended
  }
}

export const rollingCases = (trio: Trio, clients: Clients): ReadonlyArray<Case> => [
  { suite: "boto3 new cluster", name: "a restart rolls through the cluster and the leader is killed: nothing acknowledged is lost, nothing is told wrong", run: () => restarted(trio, clients) }
]

/** Every member at its end: by SIGTERM, one after the other. */
export const endCases = (trio: Trio): ReadonlyArray<Case> =>
  trio.hosts.map((host) => ({ suite: "server cluster", name: `${host.name} ends cleanly on SIGTERM`, run: () => stopWell(trio, host) }))
