/** A twin of a node's part of its cluster behind the real admin handler. Under the tests of the admin address and of the commands that ask it. */
import { Effect } from "effect"
import { Meters } from "../../src/base/Meters.ts"
import { makeAdminHandler, type NodeControl } from "../../src/gateway/admin/AdminHandler.ts"
import type { ClusterControl, ClusterRefused, ClusterStatusJson } from "../../src/gateway/admin/ClusterRoutes.ts"
import { RequestBook } from "../../src/gateway/RequestBook.ts"

export const status: ClusterStatusJson = {
  cluster: "c".repeat(32), node: "a".repeat(64), epoch: 3, term: 7, leader: "a".repeat(64), commit: 12, applied: 12, quorum: true, changing: false, pending: 1, warnings: [],
  members: [
    { node: "a".repeat(64), name: "attic", addresses: ["127.0.0.1:9100"], role: "leader", standing: "self", sinceEpoch: 1, certificateUntil: "2027-02-20T00:00:00.000Z" },
    {
      node: "e".repeat(64), name: "e\u001b[2J", addresses: ["127.0.0.1:9103"], role: "joining", standing: "up", silentMs: 20, sinceEpoch: 3, clockOffsetMs: 40,
      certificateUntil: "2026-11-21T00:00:00.000Z", comings: [{ at: "2026-11-22T06:00:00.000Z", standing: "up" }]
    },
    {
      node: "d".repeat(64), name: "dairy", addresses: ["127.0.0.1:9102"], role: "voter", standing: "down", silentMs: 12_345, sinceEpoch: 2, clockOffsetMs: -1500,
      certificateUntil: "2027-02-20T00:00:00.000Z", comings: [{ at: "2026-11-22T06:00:00.000Z", standing: "up" }, { at: "2026-11-22T06:59:50.000Z", standing: "down" }]
    }
  ]
}

/** A cluster that writes down what it was asked, and answers the first that has an answer. */
export const twin = (asked: Array<unknown>, refusal?: ClusterRefused): ClusterControl => {
  const answer = <A>(what: unknown, value: A): Effect.Effect<A, ClusterRefused> => Effect.suspend(() => {
    asked.push(what)
    return refusal === undefined ? Effect.succeed(value) : Effect.fail(refusal)
  })
  const node = "b".repeat(64)
  return {
    status: Effect.sync(() => (asked.push("status"), status)),
    pending: answer("pending", [{ node, name: "barn", addresses: ["127.0.0.1:9101"], program: "0.1.0", askedMs: 5 }]),
    invite: (how) => answer(["invite", how], { token: "token", expiresMs: 9 }),
    approve: (name) => answer(["approve", name], { node }),
    deny: (name) => answer(["deny", name], { node }),
    remove: (name, isForced) => answer(["remove", name, isForced], { node }),
    transfer: (to) => answer(["transfer", to], { leader: node })
  }
}

export const handlerOf = (cluster: ClusterControl | undefined, phase: "Starting" | "Ready" = "Ready") => {
  // Nothing else of the node is asked here: whatever would be missing throws.
  const control = { phase: () => phase, accessKey: "root", secretKey: "secret", health: () => [], ...(cluster === undefined ? {} : { cluster }) } as unknown as NodeControl
  const book = new RequestBook({ meters: new Meters(), listener: "admin", slowMs: 1000, logsAll: false })
  return makeAdminHandler(control, book, () => "0123456789ABCDEF")
}
