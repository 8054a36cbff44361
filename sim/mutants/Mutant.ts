/**
 * Mutant: one deliberate bug of the real code, as text that takes the place of other text. It sits between the catalogue
 * (journal, sealing, references, index, answers) and run.ts, which plants it in a copy of the source: the code itself
 * carries no switch.
 */
export interface Edit {
  /** Under src/. */
  readonly file: string
  /** Stands in the file once. */
  readonly find: string
  readonly replace: string
}

export type MutantRoom = "journal" | "sealing" | "recovery" | "blocks" | "references" | "index" | "answers" | "raft" | "carrier" | "membership" | "cluster" | "replica"

export interface Mutant {
  readonly id: string
  readonly room: MutantRoom
  /** What the code does wrong, and so which rule or promise it breaks. */
  readonly what: string
  readonly edits: ReadonlyArray<Edit>
  /** Only where faults harm what was synced does it show: its worlds are merciless ones. */
  readonly merciless?: boolean
  /** Few worlds catch it, or none does yet (then it is a hole in generator or oracle): CI draws others. */
  readonly open?: string
  /** Worlds of whole members catch it too (--members). */
  readonly breaksMembers?: true
  /** Measured by --units: types, lint and the tests of its room let it pass; only the swarm knows. */
  readonly passesUnits?: true
}

/** A mutant of one edit. */
export const mutant = (room: MutantRoom, id: string, what: string, file: string, find: string, replace: string): Mutant =>
  ({ id, room, what, edits: [{ file, find, replace }] })
