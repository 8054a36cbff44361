/**
 * Welcome: what a node that was let in gets of a member before it can begin: the store's and vault's ids, the vault's key, the root credentials, and the members' table.
 * Between `cluster join` and the carrier. It goes from member to member alone, over a connection on which both have shown their certificates and whose keys
 * were agreed on by X25519MLKEM768: as well hidden as if it were sealed for the asker besides.
 */
import { Clock, Effect, type Scope } from "effect"
import { membersFileBytesMax, welcomeAskMs, welcomeMsMax, welcomePauseMs } from "../base/clusterLimits.ts"
import type { StoreId, VaultId } from "../base/ids.ts"
import type { CarrierInterface } from "../carrier/CarrierService.ts"
import type { NodeId } from "../membership/Identity.ts"
import type { MembershipRecord } from "../membership/Membership.ts"
import { MembershipError } from "../membership/MembershipError.ts"
import { decodeMembershipRecord, encodeMembershipRecord } from "../membership/RecordFormat.ts"
import { type Codec, decodeWith, encodeWith, FormatError, hex, raw, struct, text, uint } from "../namespace/Canonical.ts"
import { masterBytes } from "../sealer/VaultKeys.ts"
import { JoinError } from "./Joining.ts"
import { topics } from "./Topics.ts"

export interface Welcome {
  readonly store: StoreId
  readonly createdMs: number
  readonly vault: VaultId
  /** Of the vault: 32 bytes. */
  readonly master: Uint8Array
  readonly accessKey: string
  readonly secretKey: string
  readonly record: MembershipRecord
}

type Coded = Omit<Welcome, "record"> & { readonly format: number; readonly record: Uint8Array }

const format = 1
const keyLettersMax = 256
const codec: Codec<Coded> = struct<Coded>({
  format: uint(format), store: hex<StoreId>(16), createdMs: uint(), vault: hex<VaultId>(16), master: raw(masterBytes), accessKey: text(keyLettersMax), secretKey: text(keyLettersMax),
  record: raw(membersFileBytesMax)
})

export const encodeWelcome = (welcome: Welcome): Uint8Array => encodeWith(codec, { ...welcome, format, record: encodeMembershipRecord(welcome.record) })

/** Or why these bytes are none. */
export const decodeWelcome = (bytes: Uint8Array): Welcome | string => {
  try {
    const { format: version, record: coded, ...rest } = decodeWith(codec, bytes, "welcome")
    const record = decodeMembershipRecord(coded)
    if (version !== format || rest.master.length !== masterBytes) return `a welcome of format ${version}: another version?`
    return record instanceof MembershipError ? record.message : { ...rest, record }
  } catch (error) {
    if (error instanceof FormatError) return error.message
    throw error
  }
}

/** Of a member: whoever asks is one too, or there were no session with him. */
export const serveWelcome = (carrier: CarrierInterface, welcome: () => Welcome): Effect.Effect<void, never, Scope.Scope> =>
  carrier.serve(topics.welcome, () => Effect.sync(() => encodeWelcome(welcome())))

/** Of one member after the other, until one gives it: each has to hear first that this node is let in. */
export const askWelcome = Effect.fnUntraced(function*(carrier: CarrierInterface, members: ReadonlyArray<NodeId>): Effect.fn.Return<Welcome, JoinError> {
  const beganMs = yield* Clock.currentTimeMillis
  for (let turn = 0;; turn += 1) {
    const from = members[turn % members.length]
    if (from === undefined) return yield* new JoinError({ reason: "Unreachable", detail: "no other member is known" })
    const heard = yield* Effect.result(carrier.ask(from, topics.welcome, new Uint8Array(0), { level: 2, deadlineMs: welcomeAskMs }))
    const welcome = heard._tag === "Success" ? decodeWelcome(heard.success) : heard.failure.message
    if (typeof welcome !== "string") return welcome
    if ((yield* Clock.currentTimeMillis) - beganMs > welcomeMsMax) {
      return yield* new JoinError({ reason: "Unreachable", detail: `this node was let in, and no member welcomes it: ${welcome}; look whether they reach its address, and join again with the same token` })
    }
    yield* Effect.sleep(welcomePauseMs)
  }
})
