/** Members that are to be found elsewhere after a while: one, which tells the others itself, and then all of them at once, each of which was told where the others are. Processes, by the command line. */
import { readFileSync } from "node:fs"
import { createServer } from "node:net"
import { afterAll, describe, expect, test } from "vitest"
import { freePort, type Host, ouroboros, Trio } from "./Trio.ts"

const minutesMs = 300_000

describe("members that move", () => {
  let trio: Trio | undefined
  afterAll(() => trio?.dispose())

  test("one moves and tells the others, then all move at once; what was written is there, and is written on", { timeout: minutesMs }, async () => {
    trio = await Trio.open()
    await trio.vote(3)
    const [ada, bob, cyd] = trio.hosts as [Host, Host, Host]
    const s3 = (host: Host, ...args: ReadonlyArray<string>): Promise<string> => ouroboros([...args, "--data", host.data, "--endpoint", host.s3 ?? ""])
    await s3(ada, "mb", "s3://moved")
    await s3(ada, "cp", ada.data + "/ouroboros.json", "s3://moved/before")

    // Not while it runs; not to a place that is none; not for a node that nobody knows.
    const places = new Map<Host, string>()
    const move = async (host: Host, more: ReadonlyArray<string> = []): Promise<string> => {
      const place = `127.0.0.1:${await freePort()}`
      places.set(host, place)
      return ouroboros(["cluster", "address", place, "--data", host.data, ...more])
    }
    await expect(move(bob)).rejects.toThrow(/in use|runs|is being served|another process/i)
    await trio.stop(bob)
    await expect(ouroboros(["cluster", "address", "0.0.0.0:9100", "--data", bob.data])).rejects.toThrow(/nowhere to be found/)
    await expect(move(bob, ["--of", "nobody"])).rejects.toThrow(/nobody/)
    await expect(ouroboros(["cluster", "address", "127.0.0.1:9100", "--data", trio.home + "/none"])).rejects.toThrow(/no folder of a member/)

    expect(await move(bob)).toContain(`is to be found at ${places.get(bob)!}, and listens on ${places.get(bob)!}`)
    const { epoch } = await trio.status(ada)
    await trio.start(bob)
    await trio.until("all know where bob is", ({ members }) => members.find(({ name }) => name === "bob")?.addresses.join() === places.get(bob))
    expect((await trio.status(ada)).epoch).toBe(epoch + 1)
    // Nobody dials where he was: the others find him also after they have begun anew.
    bob.proxy.close()
    await trio.stop(ada, "SIGKILL")
    await trio.start(ada)
    await trio.vote(3)
    await s3(bob, "cp", ada.data + "/ouroboros.json", "s3://moved/between")

    for (const host of trio.hosts) await trio.stop(host)
    const doctor = ["doctor", "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", bob.data]
    expect(await ouroboros(doctor)).toMatch(new RegExp(`ok +peers +${places.get(bob)!} is free`))
    const [, port] = places.get(bob)!.split(":")
    const intruder = createServer().listen(Number(port), "127.0.0.1")
    await expect(ouroboros(doctor)).rejects.toThrow(/fail +peers +\S+: .*in use/)
    intruder.close()
    for (const host of trio.hosts) await move(host)
    for (const host of trio.hosts) {
      for (const other of trio.hosts.filter((one) => one !== host)) expect(await ouroboros(["cluster", "address", places.get(other)!, "--of", other.name, "--data", host.data])).toContain(`looks for ${other.name}`)
    }
    await Promise.all(trio.hosts.map((host) => trio!.start(host)))
    await trio.until("all know where all are", ({ members }) => members.every(({ addresses, name }) => addresses.join() === places.get(trio!.hosts.find((host) => host.name === name)!)))
    // What operators said is the table's by now: no file says it any more, so that it outlasts no later word (MemberFolder: format 1).
    expect(trio.hosts.map(({ data }) => readFileSync(`${data}/members`)[4])).toEqual([1, 1, 1])
    await trio.vote(3)
    await s3(cyd, "cp", ada.data + "/ouroboros.json", "s3://moved/after")
    for (const host of trio.hosts) expect((await s3(host, "ls", "s3://moved/")).match(/before|between|after/g)?.length, host.name).toBe(3)
  })
})
