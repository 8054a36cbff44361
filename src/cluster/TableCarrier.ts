/**
 * TableCarrier: the members' table from one member to another that was away: who leads by now may be somebody whom it has never heard of, and whose messages it therefore drops. Between
 * the table that each node keeps and the carrier. The log brings the table to everybody else.
 */
import { Effect, type Scope } from "effect"
import { tableAskMs, tableLookMs } from "../base/clusterLimits.ts"
import { AnswerRefused } from "../carrier/CarrierError.ts"
import type { CarrierInterface } from "../carrier/CarrierService.ts"
import type { NodeId } from "../membership/Identity.ts"
import type { MembershipRecord } from "../membership/Membership.ts"
import { MembershipError } from "../membership/MembershipError.ts"
import { decodeMembershipRecord, encodeMembershipRecord } from "../membership/RecordFormat.ts"
import { watched } from "../ports/Health.ts"
import { topics } from "./Topics.ts"

export interface Tables {
  readonly self: NodeId
  readonly record: () => MembershipRecord
  /** Somebody leads whom this node hears: the log tells it who belongs. */
  readonly isLed: () => boolean
  /** A table of a later epoch. */
  readonly follow: (record: MembershipRecord) => Effect.Effect<void>
}

/** Serves the others, and asks them while nobody leads here, until the scope closes. */
export const followTables = Effect.fnUntraced(function*(carrier: CarrierInterface, tables: Tables): Effect.fn.Return<void, never, Scope.Scope> {
  const { follow, isLed, record, self } = tables
  yield* carrier.serve(topics.table, () => Effect.sync(() => encodeMembershipRecord(record())))
  let turn = 0
  const look = Effect.gen(function*() {
    const others = [...record().members.keys()].filter((id) => id !== self)
    const from = others[turn++ % others.length]
    if (isLed() || from === undefined) return
    const table = yield* tableOf(carrier, from)
    const { cluster, epoch } = record()
    if (table.cluster !== cluster) return yield* new AnswerRefused({ detail: `the table of cluster ${table.cluster}` })
    if (table.epoch <= epoch) return
    yield* Effect.logInfo(`the members' table of epoch ${table.epoch} comes from node ${from.slice(0, 12)}: nobody leads of those whom this node knew in epoch ${epoch}`)
    yield* follow(table)
  })
  yield* Effect.forkScoped(watched("looking for a later table of members", Effect.forever(Effect.andThen(
    Effect.sleep(tableLookMs), Effect.catch(look, (error) => Effect.logDebug(`no table of members: ${error.message}`))
  ))))
})

const tableOf = Effect.fnUntraced(function*(carrier: CarrierInterface, from: NodeId) {
  const table = decodeMembershipRecord(yield* carrier.ask(from, topics.table, new Uint8Array(0), { level: 2, deadlineMs: tableAskMs }))
  return table instanceof MembershipError ? yield* table : table
})
