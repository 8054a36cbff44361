/**
 * MemberLayer: the rooms of a store with several members: the same as a single node's (StoreLayer), over commits that Raft orders and blocks that several members
 * have. Between start-up, which knows the members and has a carrier to them, and the gateway.
 *
 * 1. Nothing that a commit names lies in one journal alone: whatever is no part of its commit goes into blocks, however little it is, and blocks are copied first (R2, R3).
 * 2. Rooms begin once this replica has seen all that was committed when it started: what no commit names is garbage only for who knows all commits.
 * 3. Whoever proposes here sees what he has done: an answer waits until this replica has applied it.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import { blockReconcileLeastMs, blockReconcileMs, memberReleaseMs, memberSeesPauseMs } from "../base/clusterLimits.ts"
import type { BlockId, GroupId } from "../base/ids.ts"
import { Blocks, type BlocksService } from "../block/BlockService.ts"
import type { CarrierInterface } from "../carrier/CarrierService.ts"
import { ChunkCache } from "../chunkCache.ts"
import { makeBlockCopies } from "../cluster/BlockCopiesService.ts"
import { peersOver, servePeers } from "../cluster/PeersCarrier.ts"
import { raftOverCarrier } from "../cluster/RaftCarrier.ts"
import { runSteward, type StewardOptions } from "../cluster/StewardService.ts"
import { Intents } from "../intents.ts"
import type { NodeId } from "../membership/Identity.ts"
import { Namespace, type NamespaceService } from "../namespace/Namespace.ts"
import { blocksNamed } from "../namespace/QueryCensus.ts"
import { State } from "../namespace/State.ts"
import { Disk } from "../ports/Disk.ts"
import { watched } from "../ports/Health.ts"
import { KeyValue } from "../ports/KeyValue.ts"
import { Memory } from "../ports/Memory.ts"
import { membersOf } from "../raft/Configuration.ts"
import type { ReplicaId, SnapshotPlace } from "../raft/Entry.ts"
import { RaftJournal } from "../raft/RaftJournalService.ts"
import { forgetAlone } from "../replica/GrowService.ts"
import { type Replica, type ReplicaOptions, runReplica } from "../replica/ReplicaService.ts"
import { makeValueSealer } from "../sealer/SealedValue.ts"
import { vaultKey } from "../sealer/VaultKeys.ts"
import { Wal, type WalInterface } from "../wal/WalService.ts"
import { blocksAlone, namespaceOptions, nodeCacheBytesOf, roomsOver, type StoreOptions } from "./StoreLayer.ts"

export interface MemberOptions {
  readonly carrier: CarrierInterface
  readonly group: GroupId
  readonly replica: ReplicaId
  /** Whose replica that is; undefined: nobody's that is a member. */
  readonly nodeOf: (replica: ReplicaId) => NodeId | undefined
  /** Of a replica that has nothing yet. */
  readonly begin?: SnapshotPlace
  /** Its folder was a store of its own: what that had its state in goes. */
  readonly wasAlone?: boolean
  /** How many members' disks may be lost without loss: m. */
  readonly lossesMax: number
  /** Told of the members' table at the start, and whenever an entry of the log has changed it. */
  readonly membersChanged?: ReplicaOptions["membersChanged"]
  /** Once the replica runs, and before this node knows what the others have committed. */
  readonly begun?: (replica: Replica) => Effect.Effect<void, never, Scope.Scope>
  /** Lets the configuration follow the table, while this member leads; undefined: others do that. */
  readonly steward?: (replica: Replica) => Pick<StewardOptions, "isUp" | "remove" | "stepped">
  /** Small bounds and eyes for tests. */
  readonly raft?: ReplicaOptions["raft"]
  readonly machine?: ReplicaOptions["machine"]
  readonly sessions?: ReplicaOptions["sessions"]
  readonly levels?: ReplicaOptions["levels"]
}

/** This node's replica: membership, status, fences. */
export class Member extends Context.Service<Member, Replica>()("ouroborosdb/node/Member") {}

/** What Raft keeps in the journal has names in it. */
const raftRecords = "ouroborosdb raft record v1"

const raftJournal = (options: StoreOptions) =>
  Layer.unwrap(Effect.map(Wal, (wal) => {
    // What is copied forward is counted in segments as this journal has them: by larger ones, copying what is live would never end.
    const segmentBytes = options.wal?.sizes?.segmentBytes
    return RaftJournal.layer({ wal, sealer: makeValueSealer(options.keys, raftRecords), ...(segmentBytes === undefined ? {} : { segmentBytes }) })
  }))

const memberCommits = (options: StoreOptions, member: MemberOptions) =>
  Layer.effectContext(Effect.gen(function*() {
    const { carrier, group, nodeOf, replica: id } = member
    const wal = yield* Wal
    const memory = yield* Memory
    const raft = yield* raftOverCarrier({ carrier, nodeOf: (_, replica) => nodeOf(replica) })
    const state: ReplicaOptions["state"] = {
      rootKey: vaultKey(options.keys, "state root"), folder: "checkpoints", nodeCacheBytes: nodeCacheBytesOf(options, memory),
      ...(options.checkpoints?.deltasMax === undefined ? {} : { deltasMax: options.checkpoints.deltasMax })
    }
    const naming = namespaceOptions(options, yield* ChunkCache)
    const replica = yield* runReplica({
      ...naming, group, id, journal: yield* RaftJournal, network: yield* raft.group(group, id), peers: peersOver({ carrier, nodeOf }), state,
      spaceLow: wal.spaceLow, ...(member.begin === undefined ? {} : { begin: member.begin }), ...(member.raft === undefined ? {} : { raft: member.raft }),
      ...(member.membersChanged === undefined ? {} : { membersChanged: member.membersChanged }),
      ...(member.machine === undefined ? {} : { machine: member.machine }), ...(member.levels === undefined ? {} : { levels: member.levels }), ...(member.sessions === undefined ? {} : { sessions: member.sessions })
    })
    yield* servePeers(carrier, replica.answer)
    if (member.begun !== undefined) yield* member.begun(replica)
    if (member.wasAlone === true) {
      const left = forgetAlone({ ...state, disk: yield* Disk, index: yield* KeyValue, sealer: naming.sealer })
      yield* Effect.forkScoped(watched("forgetting the store of one", Effect.catch(left, (error) =>
        Effect.logWarning(`what this node had its state in as a store of its own is still there, until the next start: ${error.message}`))))
    }
    yield* Effect.forkScoped(watched("letting the journal go", letGo(wal)))
    yield* caughtUp(replica)
    return Context.make(Namespace, seeing(replica)).pipe(Context.add(State, replica.state), Context.add(Member, replica))
  }))

/** No commit of a cluster lies in the journal as such: Raft's own mark is what holds it. */
const letGo = (wal: WalInterface): Effect.Effect<never> =>
  Effect.forever(Effect.andThen(
    Effect.catch(wal.release("state", wal.head()), (error) => Effect.logWarning(`the journal is not let go: ${error.message}`)), Effect.sleep(memberReleaseMs)
  ))

/** For as long as it takes: without a quorum there is nothing to serve. */
const caughtUp = (replica: Replica): Effect.Effect<void> =>
  Effect.catch(replica.fence(), (error) => Effect.andThen(Effect.logWarning(`this member waits for the others: ${error.message}`), caughtUp(replica)))

const seeing = (replica: Replica): NamespaceService => {
  const { namespace, state } = replica
  // What is committed comes, whoever leads.
  const seen = (sequence: number): Effect.Effect<void> =>
    Effect.suspend(() => (state.stamp().sequence >= sequence ? Effect.void : Effect.andThen(Effect.sleep(memberSeesPauseMs), seen(sequence))))
  return {
    ...namespace,
    quorum: { fence: replica.fence, leads: () => replica.raft.status().role === "Leader" },
    propose: (change, walEpoch, author, once) => Effect.tap(namespace.propose(change, walEpoch, author, once), ({ sequence }) => seen(sequence))
  }
}

const memberBlocks = (options: StoreOptions, { carrier, lossesMax, nodeOf, replica: id, steward }: MemberOptions) =>
  Layer.effect(Blocks, Effect.gen(function*() {
    const replica = yield* Member
    const others = (): ReadonlyArray<NodeId> => membersOf(replica.raft.status().configuration).flatMap((member) => (member === id ? [] : nodeOf(member) ?? []))
    const isLeaving = (node: ReplicaId): boolean => replica.members.current()?.members.get(node as NodeId)?.leaving !== undefined
    const copies = yield* makeBlockCopies({
      local: yield* Blocks, carrier, others, spaceLow: (yield* Wal).spaceLow, spare: (yield* Intents).open, isNamed: (block) => replica.namespace.block(block) !== undefined, counts: (node) => !isLeaving(node),
      // Who only learns may not have begun to take blocks. What leaves with this node is no copy, as little as what leaves with others.
      copiesMin: () => Math.min(lossesMax + (isLeaving(id) ? 1 : 0), replica.raft.status().configuration.voters.filter((voter) => voter !== id && !isLeaving(voter)).length)
    })
    const look = Effect.suspend(() => copies.reconcile(named(replica), replica.raft.status().applied))
    const pause = Effect.andThen(Effect.sleep(blockReconcileLeastMs), Effect.timeoutOption(copies.asked, blockReconcileMs - blockReconcileLeastMs))
    yield* Effect.forkScoped(watched("blocks that this member lacks", Effect.forever(Effect.andThen(
      Effect.catch(look, (error) => Effect.logWarning(`blocks that this member lacks are not looked for: ${error.message}`)), pause
    ))))
    if (steward !== undefined) yield* runSteward({ ...steward(replica), replica, lacking: (node) => copies.lacking(node === id ? undefined : node) })
    const blocks: BlocksService = copies.blocks
    return blocks
    // A file with a block's name is the block: another member's commit may name it, and then nothing looks again whether it is whole.
  })).pipe(Layer.provide(blocksAlone(options, { isNamedLast: true })))

/** By what this replica has applied; blocks of commits to come are theirs who write them. */
function* named({ state }: Replica): Generator<BlockId> {
  for (const { block } of blocksNamed(state.reader)) yield block
}

/** Wal, RaftJournal, Member, Namespace, State, Blocks and the rooms above, until the scope closes. */
export const memberLayer = (options: StoreOptions, member: MemberOptions) =>
  roomsOver({ ...options, sizes: { ...options.sizes, restGoesTo: "Block" } }, Layer.provideMerge(memberCommits(options, member), raftJournal(options)), memberBlocks(options, member))
