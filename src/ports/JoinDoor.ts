/**
 * JoinDoor: how a node that is no member says one thing to a member and hears one answer. It proves nothing to the member (what it says does: its token and its
 * signature), and is told nothing else; the member proves by its certificate that it is of the cluster whose authority the token names.
 * Adapter: adapters/JoinDoor, on the port of NodeTls.
 */
import { Context, Data, type Effect } from "effect"

/**
 * Unreachable: nobody listens there, or in time. Foreign: not the cluster that the token names, or no member of it. Closed: it heard and did not answer, for a reason
 * that its log tells. Malformed: no such bytes.
 */
export class JoinDoorError extends Data.TaggedError("JoinDoorError")<{
  readonly address: string
  readonly reason: "Unreachable" | "Foreign" | "Closed" | "Malformed"
  readonly detail: string
}> {
  override get message(): string {
    return `${this.address}: ${this.reason}: ${this.detail}`
  }
}

export interface JoinDoorTrust {
  /** Why that is not the certificate of the authority that is looked for; undefined: it is. */
  readonly whyNotAuthority: (certificate: Uint8Array) => string | undefined
  /** Why that is no member's of that authority's cluster; undefined: it is. */
  readonly whyNoMember: (authority: Uint8Array, certificate: Uint8Array) => string | undefined
}

export interface JoinDoorService {
  readonly ask: (address: { readonly host: string; readonly port: number }, trust: JoinDoorTrust, bytes: Uint8Array) => Effect.Effect<Uint8Array, JoinDoorError>
}

export class JoinDoor extends Context.Service<JoinDoor, JoinDoorService>()("ouroborosdb/ports/JoinDoor") {}
