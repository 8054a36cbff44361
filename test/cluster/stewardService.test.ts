/** The steward at work: a group that a test plays by hand, by the test's clock. */
import { Effect, Exit, Layer, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import { stewardChangeMs, stewardLookMs } from "../../src/base/clusterLimits.ts"
import type { Lacking } from "../../src/cluster/BlockMessage.ts"
import { runSteward, type StewardInterface } from "../../src/cluster/StewardService.ts"
import type { Wanted } from "../../src/cluster/Steward.ts"
import type { NodeId } from "../../src/membership/Identity.ts"
import type { MembershipRecord } from "../../src/membership/Membership.ts"
import { MembershipError } from "../../src/membership/MembershipError.ts"
import { Unavailable } from "../../src/namespace/Namespace.ts"
import { type Configuration, configurationOf } from "../../src/raft/Configuration.ts"
import { RaftError, type RaftStatus } from "../../src/raft/RaftService.ts"

class Played {
  role: RaftStatus["role"] = "Leader"
  term = 3
  commit = 100
  configuration: Configuration = configurationOf(["a", "b", "c"])
  members = new Map<NodeId, { readonly leaving: undefined | { readonly isForced: boolean } }>()
  readonly lacking = new Map<string, Lacking>()
  readonly did: Array<string> = []
  readonly log: Array<string> = []
  /** Each is once. */
  fails: "fence" | "change" | "changes never" | "remove" | "leads no more" | undefined
  readonly #asked: Array<string> = []

  wants(rows: Readonly<Record<string, "stays" | "leaves" | "forced">>): void {
    this.members = new Map(Object.entries(rows).map(([id, how]) => [id as NodeId, { leaving: how === "stays" ? undefined : { isForced: how === "forced" } }]))
  }

  get asked(): string {
    return [...new Set(this.#asked.splice(0))].sort().join("")
  }

  #failing(what: typeof this.fails): boolean {
    const isSo = this.fails === what
    if (isSo) this.fails = undefined
    return isSo
  }

  status(): RaftStatus {
    const { commit, configuration, role, term } = this
    const all = [...configuration.voters, ...configuration.learners]
    return { id: "a", role, term, leader: "a", commit, applied: commit, last: commit, configuration, configurationIndex: 1, matched: new Map(all.map((id) => [id, commit])), failure: undefined }
  }

  run(story: (steward: StewardInterface) => Effect.Effect<void>): Promise<void> {
    const logger = Logger.make(({ message }) => { this.log.push(String(message)) })
    return Effect.runPromise(Effect.gen({ self: this }, function*() {
      const scope = yield* Scope.make()
      const steward = yield* Scope.provide(runSteward({
        replica: {
          members: { current: (): Wanted | undefined => (this.members.size === 0 ? undefined : this) },
          fence: () => Effect.suspend(() => {
            if (this.#failing("leads no more")) this.term += 1
            return this.#failing("fence") ? Effect.fail(new Unavailable({ reason: "NoQuorum", detail: "no quorum" })) : Effect.void
          }),
          raft: {
            status: () => this.status(),
            transfer: (to) => Effect.sync(() => void this.did.push(`hands over to ${to}`)),
            change: (voters, learners) => Effect.suspend(() => {
              if (this.#failing("change")) return Effect.fail(new RaftError({ reason: "Unknown", leader: undefined, detail: "lost" }))
              if (this.#failing("changes never")) return Effect.never
              this.did.push([voters.join(""), learners.join("")].join("/"))
              this.configuration = configurationOf(voters, learners)
              return Effect.void
            })
          }
        },
        remove: (node) => Effect.suspend(() => {
          if (this.#failing("remove")) return Effect.fail(new MembershipError({ what: "message", reason: "Expired", detail: "others meanwhile" }))
          this.did.push(`removes ${node}`)
          this.members.delete(node)
          return Effect.succeed(undefined as unknown as MembershipRecord)
        }),
        isUp: () => true,
        lacking: (node) => Effect.sync(() => {
          this.#asked.push(node)
          return this.lacking.get(node)
        })
      }), scope)
      yield* story(steward)
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(Layer.merge(TestClock.layer({ warningDelay: "1 day" }), Logger.layer([logger])))))
  }
}

const looks = (count: number) => TestClock.adjust(count * stewardLookMs + 500)

describe("the steward at work", () => {
  it("steward: brings the configuration to what the record wants, step by step, and says each in a sentence; a change of the record is seen at once", () => {
    const played = new Played()
    played.configuration = configurationOf(["a"])
    return played.run((steward) => Effect.gen(function*() {
      yield* looks(3)
      expect(played.did).toEqual([])
      played.wants({ a: "stays", b: "stays", c: "stays" })
      steward.changed()
      yield* TestClock.adjust(500)
      expect(played.did).toEqual(["a/bc", "abc/"])
      played.wants({ a: "forced", b: "stays", c: "stays" })
      yield* looks(1)
      expect(played.did.slice(2)[0]).toBe("hands over to b")
      expect(played.log.slice(0, 3)).toEqual([
        "members: node b begins to learn, node c begins to learn", "members: node b votes from now on, node c votes from now on", "members: this node leaves, and node b is to lead"
      ])
      played.role = "Follower"
      const { length } = played.did
      yield* looks(3)
      expect(played.did.length).toBe(length)
    }))
  })

  it.each(["fence", "leads no more"] as const)("steward: acts only behind a fence of its own term: not by %s", (fails) => {
    const played = new Played()
    played.wants({ a: "stays", b: "stays" })
    played.fails = fails
    return played.run(() => Effect.gen(function*() {
      yield* TestClock.adjust(stewardLookMs - 100)
      expect([played.did, played.fails]).toEqual([[], undefined])
      yield* looks(1)
      expect(played.did).toEqual(["ab/"])
    }))
  })

  it("steward: what fails, or has no answer, is said and tried again", () => {
    const played = new Played()
    played.wants({ a: "stays", b: "stays", c: "forced" })
    played.fails = "change"
    return played.run(() => Effect.gen(function*() {
      yield* TestClock.adjust(stewardLookMs - 100)
      expect([played.did, played.log.filter((line) => line.includes("tried again")).length]).toEqual([[], 1])
      played.fails = "changes never"
      yield* TestClock.adjust(stewardChangeMs)
      expect([played.did, played.fails]).toEqual([[], undefined])
      played.fails = "remove"
      yield* looks(2)
      yield* looks(1)
      expect(played.did).toEqual(["ab/", "removes c"])
      expect(played.log.filter((line) => line.includes("tried again")).length).toBe(3)
    }))
  })

  it("steward: who leaves is let go once all others have looked since, and lack nothing; what an older look said does not count, nor does who cannot be asked", () => {
    const played = new Played()
    played.wants({ a: "stays", b: "stays", c: "leaves" })
    return played.run((steward) => Effect.gen(function*() {
      yield* looks(2)
      expect([played.asked, played.did]).toEqual(["ab", []])
      played.lacking.set("a", { index: 100, count: 0 })
      played.lacking.set("b", { index: 99, count: 0 })
      played.commit = 500
      yield* looks(2)
      expect([played.did, steward.waits()]).toEqual([[], ["node c stays until every member that does has all blocks (not known of b)"]])
      played.lacking.set("b", { index: 300, count: 1 })
      yield* looks(2)
      expect(played.did).toEqual([])
      played.lacking.set("b", { index: 301, count: 0 })
      yield* looks(2)
      expect([played.did, steward.waits()]).toEqual([["ab/", "removes c"], []])
      // Once, however often it looked.
      expect(played.log.filter((line) => line.includes("not known of b")).length).toBe(1)
      expect(played.asked).not.toBe("")
      yield* looks(3)
      expect(played.asked).toBe("")
    }))
  })
})
