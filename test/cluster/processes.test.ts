/** Three members in three processes over TLS, driven from outside while they are killed, stopped, cut off and restarted: nothing acknowledged is lost, and no client waits for longer than an election. */
import { CreateBucketCommand } from "@aws-sdk/client-s3"
import { afterAll, beforeAll, expect, it } from "vitest"
import { clientOf, Load } from "./Load.ts"
import { type Host, ouroboros, Trio } from "./Trio.ts"

/** An election takes one to three seconds on a machine that is shared; a client that asked whoever is silent gives up after three, and asks another, who may be the next that is silent. */
const outageMsMax = 12_000
let trio: Trio

const after = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

/** So much has been acknowledged since it was asked. */
const progress = async (load: Load, puts: number, msMax = 30_000): Promise<void> => {
  const [from, beganMs] = [load.acknowledged, performance.now()]
  while (load.acknowledged < from + puts) {
    if (performance.now() - beganMs > msMax) throw new Error(`${load.acknowledged - from} of ${puts} writes in ${msMax} ms\n${trio.logs()}`)
    await after(50)
  }
}

beforeAll(async () => {
  trio = await Trio.open()
  await trio.vote(3)
  const client = clientOf(trio.hosts[0]!)
  await client.send(new CreateBucketCommand({ Bucket: "things" }))
  client.destroy()
}, 120_000)

afterAll(async () => {
  await trio.dispose()
})

const judged = async (load: Load): Promise<void> => {
  const report = await load.end()
  await trio.until("all have applied alike", ({ leader, quorum }) => leader !== null && quorum)
  expect(await load.check(), trio.logs()).toEqual([])
  expect(report.longestMs, JSON.stringify(report)).toBeLessThan(outageMsMax)
  load.close()
}

it("processes: the leader is killed (SIGKILL) under load, and comes back", async () => {
  const load = new Load(trio.hosts, "things", "killed")
  await progress(load, 20)
  const leader = await trio.leader()
  await trio.stop(leader, "SIGKILL")
  await progress(load, 40)
  await trio.start(leader)
  await progress(load, 40)
  await judged(load)
}, 120_000)

it("processes: one is stopped for a while (SIGSTOP) under load, the leader or another", async () => {
  const load = new Load(trio.hosts, "things", "stopped")
  const leader = await trio.leader()
  for (const host of [leader, trio.hosts.find((one) => one !== leader)!]) {
    const pid = host.server?.pid
    // To no process in particular it would go to all of them, these tests included.
    if (pid === undefined) throw new Error(`${host.name} does not run\n${trio.logs()}`)
    process.kill(pid, "SIGSTOP")
    await progress(load, 20)
    process.kill(pid, "SIGCONT")
    await progress(load, 20)
  }
  await judged(load)
}, 120_000)

it("processes: the leader is cut off from the others under load, and heals", async () => {
  const load = new Load(trio.hosts, "things", "cut")
  await progress(load, 10)
  const leader = await trio.leader()
  trio.isolate(leader)
  await progress(load, 40)
  const [cut, ...others] = await Promise.all([leader, ...trio.hosts.filter((host) => host !== leader)].map((host) => trio.status(host)))
  expect(cut?.quorum).toBe(false)
  for (const { leader: now, quorum } of others) expect([quorum, now !== null && now !== cut?.node]).toEqual([true, true])
  trio.heal()
  await progress(load, 40)
  await judged(load)
}, 120_000)

it("processes: a restart rolls through the cluster under load; whoever leads hands over first", async () => {
  const load = new Load(trio.hosts, "things", "rolling")
  for (const host of trio.hosts) {
    await progress(load, 20)
    await trio.stop(host)
    await trio.start(host)
  }
  await progress(load, 20)
  await judged(load)
}, 180_000)

it("processes: one comes in and leads while another is away, which has never heard of it when it comes back, and follows it", async () => {
  const load = new Load(trio.hosts.slice(0, 2), "things", "away")
  const [first, , away] = trio.hosts as [Host, Host, Host]
  await trio.stop(away, "SIGKILL")
  const fourth = await trio.add("dan")
  await trio.until("the new one votes", ({ changing, members }) => !changing && members.some(({ name, role }) => name === "dan" && (role === "voter" || role === "leader")))
  await trio.lead(fourth, first)
  await progress(load, 10)
  await trio.start(away)
  await trio.until("it follows", ({ leader, members, quorum }) => quorum && members.length === 4 && members.find(({ node }) => node === leader)?.name === "dan")
  await progress(load, 10)
  await judged(load)
}, 120_000)

it("processes: leadership goes where an operator says; one that is removed goes, and the others go on without it", async () => {
  const load = new Load(trio.hosts.slice(0, 2), "things", "removed")
  const [first, , last] = trio.hosts as [Host, Host, Host]
  await trio.lead(last, first)
  await ouroboros(["cluster", "remove", last.name, ...trio.at(first)])
  const gone = last.server
  last.server = undefined
  await trio.until("three are left", ({ members }) => members.length === 3)
  while (!/this node was removed from its cluster in epoch \d+/.test(gone?.output() ?? "")) await after(50)
  await gone?.stop()
  await progress(load, 20)
  await judged(load)
}, 120_000)
