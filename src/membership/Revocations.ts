/**
 * Revocations: the certificates that an authority has taken back, signed by it and numbered: a newer list replaces an older one, never the
 * other way round. Between `cluster remove` and whoever validates a certificate.
 */
import { Schema } from "effect"
import { membershipBytesMax, revocationsMax } from "../base/clusterLimits.ts"
import type { KeyPairsService } from "../ports/KeyPairs.ts"
import type { Authority } from "./Authority.ts"
import type { Certificate } from "./Certificate.ts"
import type { ClusterId, NodeId } from "./Identity.ts"
import { type MembershipError, refusalOf } from "./MembershipError.ts"
import { ClusterIdField, CountField, decodeRecord, encodeRecord, HexField, NodeIdField, SignatureField } from "./Wire.ts"

export interface Revocation {
  readonly serial: string
  readonly node: NodeId
  /** Until its certificate expires by itself. */
  readonly untilMs: number
}

export interface RevocationList {
  readonly cluster: ClusterId
  /** Rises with every change; 0: nothing was ever taken back. */
  readonly number: number
  readonly entries: ReadonlyArray<Revocation>
}

const refuse = refusalOf("revocations")
const context = "ouroborosdb 2026 revocations 1"

const listed = {
  cluster: ClusterIdField, number: CountField,
  entries: Schema.Array(Schema.Struct({ serial: HexField(32), node: NodeIdField, untilMs: CountField })).check(Schema.isMaxLength(revocationsMax))
}
export const RevocationsField = Schema.Struct(listed)
const List = Schema.Struct({ version: Schema.Literal(1), ...listed })
const Signed = Schema.Struct({ list: Schema.Uint8Array, signature: SignatureField })

export const noRevocations = (cluster: ClusterId): RevocationList => ({ cluster, number: 0, entries: [] })

/** Without those that have expired meanwhile. Full: wait until some have, or make a new authority. */
export const revoke = (list: RevocationList, { node, notAfterMs, serial }: Pick<Certificate, "node" | "notAfterMs" | "serial">, nowMs: number): RevocationList | MembershipError => {
  if (node === undefined) return refuse("Foreign", "an authority takes nothing of itself back")
  if (list.entries.some((entry) => entry.serial === serial)) return list
  const entries = [...list.entries.filter(({ untilMs }) => untilMs >= nowMs), { serial, node, untilMs: notAfterMs }]
  return entries.length > revocationsMax ? refuse("Full", `${revocationsMax} certificates are revoked: more can be once some of them have expired`) : { ...list, number: list.number + 1, entries }
}

export const signRevocations = ({ signer }: Authority, { cluster, entries, number }: RevocationList): Uint8Array => {
  const list = encodeRecord({ version: 1, cluster, number, entries })
  return encodeRecord({ list, signature: signer.sign(context, list) })
}

/** A list that is newer than `known`, or that one again: an older one is refused, as whoever brings it may want it so. */
export const readRevocations = (pairs: KeyPairsService, authority: Certificate, bytes: Uint8Array, known: RevocationList): RevocationList | MembershipError => {
  const outer = decodeRecord(Signed, bytes, membershipBytesMax)
  if (typeof outer === "string") return refuse("Malformed", outer)
  if (!pairs.verify(authority.signing, context, outer.list, outer.signature)) return refuse("Unsigned", "not signed by this cluster's authority")
  const list = decodeRecord(List, outer.list, membershipBytesMax)
  if (typeof list === "string") return refuse("Malformed", list)
  if (list.cluster !== known.cluster) return refuse("Foreign", `of cluster ${list.cluster}`)
  if (list.number < known.number) return refuse("Expired", `list ${list.number}, while ${known.number} is known`)
  const { version: _, ...said } = list
  return said
}
