/**
 * Registrar: an operator who founds the record of members and changes it at whichever replica, in a world that a seed drives. What is held against it: whoever hears that a
 * change came true sees all that was acknowledged before he asked; epochs never go back; and in the end memory, what was told, and rows are one record on every replica.
 */
import { Exit } from "effect"
import type { Random } from "../../sim/Random.ts"
import type { Timeline } from "../../sim/Timeline.ts"
import { toHex } from "../../src/base/bytes.ts"
import type { MembershipChange, MembershipRecord } from "../../src/membership/Membership.ts"
import { encodeMembershipRecord } from "../../src/membership/RecordFormat.ts"
import { recordOf } from "../../src/replica/MembersTable.ts"
import { nowMs, type Scene, sceneOf } from "../membership/fixtures.ts"
import { admissionOf, foundingOf, removalOf } from "../membership/story.ts"
import type { Node } from "./Replicas.ts"

const secondUs = 1_000_000
const tokensMost = 40
const nodesMost = 5

export interface RegistrarOptions {
  readonly seed: number
  /** His own: what else happens in the world is drawn as it would be without him. */
  readonly random: Random
  readonly timeline: Timeline
  readonly nodes: ReadonlyArray<Node>
  readonly isOver: () => boolean
}

const whatFailed = (exit: Exit.Exit<unknown, unknown>): { readonly _tag: string; readonly message: string } | undefined => {
  const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
  return reason === undefined ? undefined : reason._tag === "Fail" ? reason.error as never : { _tag: reason._tag, message: String(reason) }
}

export class Registrar {
  readonly problems: Array<string> = []
  readonly #options: RegistrarOptions
  readonly #house: Scene
  readonly #tried = new Set<string>()
  readonly #acknowledged = new Set<string>()
  #epoch = 0
  #isFounded = false
  acknowledged = 0

  constructor(options: RegistrarOptions) {
    this.#options = options
    this.#house = sceneOf(options.seed)
  }

  begin(): void {
    const { isOver, nodes, random, timeline } = this.#options
    if (isOver()) return
    const node = random.pick(nodes)
    if (node.replica !== undefined && node.isOn) this.#act(node, this.#drawn(node.replica.members.current()))
    timeline.after(random.below(secondUs), () => this.begin())
  }

  #drawn(record: MembershipRecord | undefined): ReadonlyArray<MembershipChange> {
    const { random } = this.#options
    const house = this.#house
    const founded: MembershipChange = { _tag: "Founded", record: foundingOf(house, house.node(1)) }
    if (!this.#isFounded || record === undefined) return [founded]
    const identity = house.node(2 + random.below(nodesMost))
    const isNew = this.#tried.size < tokensMost
    const token = house.token(1000 + (isNew ? this.#tried.size : random.below(tokensMost)))
    const invited: MembershipChange = { _tag: "Invited", token, isApproved: random.chance(0.5), atMs: nowMs }
    const kind = random.below(5)
    if (kind === 0 && record.members.has(identity.id)) return [{ _tag: "Leaving", node: identity.id, isForced: random.chance(0.3) }]
    if (kind === 1 && record.members.has(identity.id)) return [removalOf(house, record, identity)]
    if (kind === 2) return [founded]
    if (kind === 4 && record.members.has(identity.id)) return [{ _tag: "Moved", node: identity.id, addresses: [`place-${random.below(9)}.example:9444`] }]
    if (!isNew) return [{ _tag: "Decided", node: identity.id, standing: "Denied" }]
    this.#tried.add(token.id)
    return kind === 3 ? admissionOf(house, identity, token) : [invited]
  }

  #act(node: Node, changes: ReadonlyArray<MembershipChange>): void {
    const [change, ...rest] = changes
    if (change === undefined || node.replica === undefined) return
    const before = [...this.#acknowledged]
    const epoch = this.#epoch
    node.run(node.replica.members.change(change), (exit) => {
      if (Exit.isSuccess(exit)) {
        this.#heard(node, change, exit.value, before, epoch)
        return this.#act(node, rest)
      }
      const failed = whatFailed(exit)
      const mayBe = failed?._tag === "MembershipStoreError" || (failed?._tag === "MembershipError" && change._tag !== "Founded" && change._tag !== "Invited")
      if (!mayBe) this.problems.push(`${node.id}: ${change._tag} ended by ${failed?.message ?? String(exit)}`)
    })
  }

  #heard({ id }: Node, change: MembershipChange, { book, epoch: now, members }: MembershipRecord, before: ReadonlyArray<string>, epoch: number): void {
    this.acknowledged += 1
    if (change._tag === "Founded") this.#isFounded = true
    if (change._tag === "Invited") {
      this.#acknowledged.add(change.token.id)
      if (!book.invited.has(change.token.id)) this.problems.push(`${id}: a token was invited, and is not in the record that says so`)
    }
    const missing = before.find((token) => !book.invited.has(token))
    if (missing !== undefined) this.problems.push(`${id}: ${change._tag} is answered with a record without the token ${missing}, acknowledged before it`)
    if (now < epoch) this.problems.push(`${id}: ${change._tag} is answered with epoch ${now}, after ${epoch} was`)
    if (members.size === 0) this.problems.push(`${id}: no member is left`)
    this.#epoch = Math.max(this.#epoch, now)
  }

  /** All is calm, and all replicas have applied alike. */
  judge(): void {
    const { nodes } = this.#options
    for (const { id, replica, told } of nodes) {
      const [kept, last, rows] = [replica!.members.current(), told.at(-1), recordOf(replica!.state.reader)].map((record) => (record === undefined ? "none" : toHex(encodeMembershipRecord(record))))
      if (kept !== rows) this.problems.push(`${id} keeps another record of members than its rows have`)
      if (last !== rows) this.problems.push(`${id} was told of another record of members than its rows have`)
      if (told.some(({ epoch }, at) => epoch < (told[at - 1]?.epoch ?? 0))) this.problems.push(`${id} was told of an epoch after a later one`)
      const tokens = recordOf(replica!.state.reader)?.book.invited
      for (const token of this.#acknowledged) if (tokens?.has(token) !== true) this.problems.push(`${id} has not the token ${token}, which was acknowledged`)
      for (const token of tokens?.keys() ?? []) if (!this.#tried.has(token)) this.problems.push(`${id} has a token ${token} that nobody invited`)
    }
  }
}
