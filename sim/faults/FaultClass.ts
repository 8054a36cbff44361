/**
 * FaultClass: every kind of harm that a simulated world can do to a node, by name: what is counted, drawn and printed.
 * Sits under the twins, which say that one has happened, and the plans, which decide that it shall.
 */

/** Of the disk and of the index; each with what happens. */
export const diskFaults = {
  UnsyncedLost: "a power cut loses everything that a file had not synced",
  TornWrite: "a power cut keeps some sectors of what was not synced, of 512 or 4,096 bytes, in any order, and loses the others",
  UnsyncedNameLost: "a power cut loses a name that was made, changed or removed, and its folder not synced",
  InFlightCorrupt: "a power cut leaves garbage in a sector that was being written",
  OldContents: "a power cut leaves a file its size, and in place of its bytes those of a file that is gone",
  ProcessKilled: "the process dies, the page cache lives",
  SyncFailed: "a sync fails; what it was to save may be on the disk or not",
  SyncDropped: "a sync fails, its dirty pages count as clean, and later syncs succeed without them",
  ReadFailed: "a read answers EIO once",
  ReadFailsForLong: "a file answers EIO to every read for a while",
  WriteFailed: "a write, or another change, answers EIO once, half done",
  WriteFailsForLong: "a folder answers EIO to every change for a while",
  DiskFull: "the disk is full, until something else makes room",
  LatentSector: "a sector answers EIO until it is written again",
  BitRot: "a byte changes while nobody looks",
  MisdirectedWrite: "a write lands elsewhere: in its own file, or over another",
  LostWrite: "a write succeeds and is not on the disk",
  StaleRead: "a read answers once what was there before the last write",
  StaleSector: "a sector answers what was there before its last write, until the next",
  SlowDisk: "operations take long",
  DirectRefused: "the file system refuses direct I/O, and the page cache answers",
  IndexCut: "a power cut loses the last commits of the index, none that was flushed",
  IndexLost: "the index is gone at a start",
  IndexGarbage: "values of the index are garbage at a start",
  IndexStale: "values of the index, or all of it, are those of an earlier night at a start",
  IndexFailed: "a commit or a flush of the index fails",
  IndexUnreadable: "rows of the index lie on pages that can neither be read nor written, at a start"
} as const

export type DiskFaultClass = keyof typeof diskFaults

export const diskFaultClasses = Object.keys(diskFaults) as ReadonlyArray<DiskFaultClass>
