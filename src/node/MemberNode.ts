/**
 * MemberNode: what a node is besides a store where it is a member of a cluster: its links, its replica, its part in who belongs. Between Node, which starts rooms, and the
 * rooms of raft, membership, carrier and cluster, which it puts together.
 *
 * 1. Links come first: other members are answered while this one still begins.
 * 2. The members' table that counts is the replicated one; of what this replica sees nothing older than what the folder had is followed, or a log that is read again would
 *    cut off whoever came in since.
 * 3. A replica begins once: from then on a journal without it is a damaged one (R2).
 */
import { Effect, Latch, Layer, Queue, Semaphore } from "effect"
import { service as pairs } from "../adapters/NodeKeyPairs.ts"
import { degraded, failed, type Finding, sound } from "../base/HealthBoard.ts"
import { foundingRetryMs, lossesMaxDefault } from "../base/clusterLimits.ts"
import type { GroupId } from "../base/ids.ts"
import { answerStranger, membershipOverCarrier, type MembershipOver } from "../cluster/Joining.ts"
import { membershipOver } from "../cluster/MembershipReplica.ts"
import { runRenewal } from "../cluster/RenewalService.ts"
import { sayFarewell, serveFarewell } from "../cluster/Farewell.ts"
import { followTables } from "../cluster/TableCarrier.ts"
import { serveWelcome } from "../cluster/Welcome.ts"
import { isNodeId, type NodeId, shortIdOf } from "../membership/Identity.ts"
import type { MembershipRecord } from "../membership/Membership.ts"
import { makeMembership } from "../membership/MembershipService.ts"
import { Entropy } from "../ports/Entropy.ts"
import { watched } from "../ports/Health.ts"
import { configurationOf, noConfiguration } from "../raft/Configuration.ts"
import type { ReplicaId, SnapshotPlace } from "../raft/Entry.ts"
import { noSnapshot } from "../raft/RaftLog.ts"
import { grownPlace } from "../replica/GrowService.ts"
import type { Replica } from "../replica/ReplicaService.ts"
import type { VaultKeys } from "../sealer/VaultKeys.ts"
import { clusterDesk } from "./ClusterDesk.ts"
import type { Credentials } from "./Credentials.ts"
import type { Folder } from "./Folder.ts"
import { keepMembers, type KeptMembers, type KnownMembers, openMember } from "./MemberFolder.ts"
import { memberLayer } from "./MemberLayer.ts"
import { type MemberLink, openLink } from "./MemberLink.ts"
import type { HostPort } from "./Settings.ts"
import type { StoreOptions } from "./StoreLayer.ts"

export interface MemberGround {
  readonly folder: Folder
  readonly keys: VaultKeys
  readonly credentials: Credentials
  /** Where it listens, in place of what its folder says. */
  readonly listen?: HostPort | undefined
}

/** What is known before the replica runs, and after. */
interface About {
  readonly self: NodeId
  readonly kept: KeptMembers
  /** Of who follows a table. */
  readonly turn: Semaphore.Semaphore
  over: MembershipOver | undefined
  replica: Replica | undefined
  /** Open once the log has its first word of who belongs: nobody is let in before. */
  readonly founded: Latch.Latch
}

/** Of a folder that is a member's: its links now, its rooms when they are asked for. Until the scope closes. */
export const startMember = Effect.fnUntraced(function*(ground: MemberGround) {
  const { folder, keys } = ground
  const { known, own } = yield* openMember(folder, keys, pairs)
  const { id: self } = own.identity
  const about: About = { self, kept: yield* keepMembers(folder, keys, known), turn: yield* Semaphore.make(1), over: undefined, replica: undefined, founded: yield* Latch.make() }
  const link = yield* openLink({
    own, listen: ground.listen ?? known.listen, record: known.record, placeOf: (node) => about.kept.known().places.get(node),
    stranger: (asked, remote) => (about.over === undefined ? Effect.undefined : answerStranger(about.over)(asked, remote))
  })
  yield* Effect.logInfo(`member ${shortIdOf(self)} of cluster ${known.record.cluster.slice(0, 12)} listens for other members on ${link.listens.host}:${link.listens.port}`)
  yield* serveWelcome(link.carrier, () => welcomeOf(ground, about))
  const records = yield* Effect.acquireRelease(Queue.sliding<MembershipRecord>(1), Queue.shutdown)
  yield* Effect.forkScoped(watched("following who belongs", Effect.forever(Effect.flatMap(Queue.take(records), (record) => follow(about, link, record)))))
  const entropy = yield* Entropy
  yield* followTables(link.carrier, {
    self, record: link.record, isLed: () => about.replica?.raft.status().leader !== undefined, follow: (record) => follow(about, link, record)
  })
  yield* serveFarewell(link.carrier, { self, record: link.record, told: (record) => Effect.andThen(
    Effect.logWarning(`this node was removed from its cluster in epoch ${record.epoch}: stop it; what it has is kept, and nothing of it is served any more`), follow(about, link, record)
  ) })
  const membershipOf = (replica: Replica) => makeMembership({ self: own.identity, pairs, entropy, store: membershipOver(replica) })
  const begun = Effect.fnUntraced(function*(replica: Replica) {
    about.replica = replica
    yield* about.kept.keep({ hasBegun: true })
    const membership = membershipOf(replica)
    about.over = yield* membershipOverCarrier({ carrier: link.carrier, membership })
    // The table has the new one, and links follow the table.
    yield* runRenewal({ over: about.over, pairs, entropy, identity: own.identity, record: link.record, current: () => link.record().members.get(self)?.certificate, renewed: () => Effect.void })
    yield* Effect.forkScoped(watched("founding the cluster", Effect.andThen(founded(about, replica), about.founded.open)))
    yield* Effect.forkScoped(watched("telling the others where this node is", moved(about, replica)))
    yield* desk.begin(replica, membership)
  })
  const desk = clusterDesk({ self, link })
  return {
    control: desk.control, handOver: desk.handOver, finding: (): Finding => findingOf(about),
    rooms: (options: StoreOptions) => memberLayer(options, {
      carrier: link.carrier, group: groupOf(known.record), replica: self, nodeOf: nodeOf(link), lossesMax: lossesMaxDefault, ...beginOf(known, self), wasAlone: known.wasAlone, begun,
      membersChanged: (record) => void Queue.offerUnsafe(records, record), steward: (replica) => ({ isUp: link.isUp, remove: membershipOf(replica).remove })
    }).pipe(Layer.tap(() => about.founded.await))
  }
})

export type MemberNode = Effect.Success<ReturnType<typeof startMember>>

/** One group now, whose number is the cluster's. */
const groupOf = ({ cluster }: MembershipRecord): GroupId => cluster as string as GroupId

/** A replica has its node's id: whose disk was emptied is another node, and another replica (R2). */
const nodeOf = (link: MemberLink) => (replica: ReplicaId): NodeId | undefined => (isNodeId(replica) && link.record().members.has(replica) ? replica : undefined)

/** The first votes alone, behind the state that it had, if it had one; whoever joins waits to be told who does. */
const beginOf = ({ hasBegun, isFounder, wasAlone }: KnownMembers, self: NodeId): { readonly begin?: SnapshotPlace } => {
  if (hasBegun) return {}
  return { begin: wasAlone ? grownPlace(configurationOf([self])) : { ...noSnapshot, configuration: isFounder ? configurationOf([self]) : noConfiguration } }
}

const welcomeOf = ({ credentials, folder, keys }: MemberGround, { kept }: About) => ({
  store: folder.store, createdMs: folder.createdMs, vault: folder.vault, master: keys.master, accessKey: credentials.accessKey, secretKey: credentials.secretKey, record: kept.known().record
})

/** One after another, whoever brings it: one that waits would undo what a later one did. */
const follow = ({ kept, self, turn }: About, link: MemberLink, record: MembershipRecord): Effect.Effect<void> =>
  turn.withPermit(Effect.gen(function*() {
    const { record: before } = kept.known()
    if (record.epoch < before.epoch) return
    yield* kept.keep({ record, places: stillPlaced(self, kept.known().places, before, record) })
    if (record.members.has(self)) yield* sayFarewell(link.carrier, before, record)
    yield* link.follow(record)
    if (record.epoch > before.epoch) yield* Effect.logInfo(`epoch ${record.epoch}: ${[...record.members.values()].map(({ member }) => member.name).join(", ")}`)
  }))

/** The first word of its log, where this node is the first; again until it is taken. */
const founded = (about: About, replica: Replica): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (!about.kept.known().isFounder || replica.members.current() !== undefined) return Effect.void
    return Effect.catch(replica.members.change({ _tag: "Founded", record: about.kept.known().record }), (error) =>
      Effect.andThen(Effect.logDebug(`the cluster is not founded yet: ${error.message}`), Effect.andThen(Effect.sleep(foundingRetryMs), founded(about, replica))))
  })

/** The others find this node where it has moved to: again until the table says so. */
const moved = (about: About, replica: Replica): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { kept, self } = about
    const at = kept.known().places.get(self)
    if (at === undefined) return Effect.void
    return Effect.matchEffect(replica.members.change({ _tag: "Moved", node: self, addresses: [at] }), {
      onSuccess: () => Effect.logInfo(`the others find this node at ${at} from now on`),
      onFailure: (error) => Effect.andThen(Effect.logDebug(`the others do not know yet that this node is at ${at}: ${error.message}`), Effect.andThen(Effect.sleep(foundingRetryMs), moved(about, replica)))
    })
  })

/** What an operator said of a member counts until the table has a new word of where it is, of this one until the table says the same. */
const stillPlaced = (self: NodeId, places: KnownMembers["places"], before: MembershipRecord, after: MembershipRecord): KnownMembers["places"] => {
  const whereIn = ({ members }: MembershipRecord, node: NodeId): string => members.get(node)?.member.addresses.join() ?? ""
  return new Map([...places].filter(([node, at]) => after.members.has(node) && whereIn(after, node) !== at && (node === self || whereIn(before, node) === whereIn(after, node))))
}

const findingOf = ({ kept, replica, self }: About): Finding => {
  if (!kept.known().record.members.has(self)) return failed("this node was removed from its cluster: stop it; with an empty folder it may join anew")
  const status = replica?.raft.status()
  if (status === undefined) return failed("its replica has not begun")
  if (status.failure !== undefined) return failed(`its replica promises nothing any more: ${status.failure}; restart the node`)
  if (status.leader === undefined) return failed("nobody leads: fewer than a majority of the voters can be reached")
  const { learners, voters } = status.configuration
  return voters.includes(self) ? sound(`${voters.length} voters, ${learners.length} learners`) : degraded("this node does not vote yet")
}
