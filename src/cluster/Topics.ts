/** Topics: what messages between nodes are about. One number each, never another's; between the carrier and every protocol above it. */
export const topics = {
  /** RaftCarrier: one message of one group. */
  raft: 1,
  // 2, 3: not used again. An earlier way to bring states had them.
  /** Membership: an ask that a member hands on to whoever decides. */
  membershipAsk: 4,
  /** PeersCarrier: an ask of one replica to another, and its reply. */
  replica: 5,
  /** BlockCopies: a block that another node has written; all of one that this node has; regions of it. */
  blockTake: 6,
  blockGive: 7,
  blockRegions: 8,
  /** Welcome: what a node that was let in needs to begin. */
  welcome: 9,
  /** BlockCopies: how many blocks that commits name a member lacks. */
  blocksLacking: 10,
  /** To whoever leads: hand over. */
  handOver: 11,
  /** Presence: a member is there. */
  presence: 12,
  /** TableCarrier: the members' table, for who was away. */
  table: 13,
  /** Farewell: the table, for one that it has no more. */
  farewell: 14
} as const
