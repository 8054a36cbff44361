/**
 * Availability: which nodes are there, as one node hears them: suspicion that grows with silence, by how regularly a node was heard before. Phi-accrual:
 * Hayashibara, Défago, Yared, Katayama, "The phi accrual failure detector" (SRDS 2004), sections 4 and 5: phi = -log10 of the chance that a node which is there would
 * be silent for so long. Between what the carrier hears and whoever shows or uses it: no safety rests on it (consensus has clocks of its own).
 *
 * Pure: time comes as an argument. Nodes that are heard often count by samples of a while, or else a busy peer that falls quiet would be one that fails.
 */
import {
  availabilityNodesMax, availabilityPauseMs, availabilityPhiMax, availabilitySampleMs, availabilitySamples, availabilitySilentMsMax, availabilityTurnsMax, availabilityVariationMsMin, carrierPingMs
} from "../base/clusterLimits.ts"
import { assert } from "../base/assert.ts"
import type { NodeId } from "./Identity.ts"

/** Unknown: expected, and not heard since this node started. */
export type Standing = "Unknown" | "Up" | "Down"

/** A node came or went, as this one saw it. */
export interface Turn {
  readonly node: NodeId
  readonly standing: Exclude<Standing, "Unknown">
  /** Wall time. */
  readonly atMs: number
  /** Of Up: how long it had not been heard; of Down: how long it was silent by then. By the monotonic clock. */
  readonly silentMs: number
}

export interface AvailabilityOptions {
  /** Suspected above this: a node that is there is suspected once in 10^phi looks. */
  readonly phiMax: number
  /** Silence that is nobody's fault: a pause of a process, a resent frame. */
  readonly pauseMs: number
  /** Down after so much silence, however irregular it was before. */
  readonly silentMsMax: number
}

interface Watched {
  standing: Standing
  /** When it was last heard, or expected from; by the monotonic clock. */
  heardMs: number
  /** The last one of those that count as samples. */
  sampledMs: number
  /** Between samples: the last availabilitySamples. */
  readonly gapsMs: Array<number>
  /** Oldest first; at most availabilityTurnsMax. */
  readonly turns: Array<Turn>
  /** How often it went, since this node started. */
  downs: number
}

export interface AvailabilityState {
  readonly options: AvailabilityOptions
  readonly nodes: Map<NodeId, Watched>
}

export const availabilityOptions: AvailabilityOptions = { phiMax: availabilityPhiMax, pauseMs: availabilityPauseMs, silentMsMax: availabilitySilentMsMax }

export const makeAvailability = (options: AvailabilityOptions = availabilityOptions): AvailabilityState => {
  assert(options.phiMax > 0 && options.pauseMs >= 0 && options.silentMsMax > options.pauseMs, "a node may be silent for longer than a pause")
  return { options, nodes: new Map() }
}

/** Who is to be heard, from now on: members but this node. Of the others everything is forgotten. */
export const watch = ({ nodes }: AvailabilityState, expected: Iterable<NodeId>, nowMs: number): void => {
  const wanted = new Set(expected)
  assert(wanted.size <= availabilityNodesMax, `${availabilityNodesMax} nodes are watched at most`)
  for (const id of nodes.keys()) if (!wanted.has(id)) nodes.delete(id)
  for (const id of wanted) {
    if (!nodes.has(id)) nodes.set(id, { standing: "Unknown", heardMs: nowMs, sampledMs: nowMs, gapsMs: [], turns: [], downs: 0 })
  }
}

/** Something of that node has come, and was believed. Up: it is there, or there again. */
export const heard = (state: AvailabilityState, node: NodeId, nowMs: number, wallMs: number): Turn | undefined => {
  const watched = state.nodes.get(node)
  if (watched === undefined) return undefined
  const silentMs = Math.max(0, nowMs - watched.heardMs)
  watched.heardMs = Math.max(watched.heardMs, nowMs)
  if (watched.standing !== "Up") {
    // How long it was away says nothing of how regularly it is heard; what was before it went may be another life's.
    watched.gapsMs.length = 0
    watched.sampledMs = nowMs
    return turn(watched, { node, standing: "Up", atMs: wallMs, silentMs })
  }
  const gapMs = nowMs - watched.sampledMs
  if (gapMs < availabilitySampleMs) return undefined
  watched.sampledMs = nowMs
  watched.gapsMs.push(gapMs)
  if (watched.gapsMs.length > availabilitySamples) watched.gapsMs.shift()
  return undefined
}

/** Who has gone since the last look. */
export const look = (state: AvailabilityState, nowMs: number, wallMs: number): ReadonlyArray<Turn> => {
  const turns: Array<Turn> = []
  for (const [node, watched] of state.nodes) {
    if (watched.standing === "Down" || !isSuspected(state, watched, nowMs)) continue
    watched.downs += 1
    turns.push(turn(watched, { node, standing: "Down", atMs: wallMs, silentMs: nowMs - watched.heardMs }))
  }
  return turns
}

const turn = (watched: Watched, one: Turn): Turn => {
  watched.standing = one.standing
  watched.turns.push(one)
  if (watched.turns.length > availabilityTurnsMax) watched.turns.shift()
  return one
}

const isSuspected = ({ options }: AvailabilityState, watched: Watched, nowMs: number): boolean =>
  nowMs - watched.heardMs >= options.silentMsMax || (watched.standing === "Up" && phi(options, watched, nowMs) > options.phiMax)

/** 0: just heard. Undefined: not watched. */
export const phiOf = ({ nodes, options }: AvailabilityState, node: NodeId, nowMs: number): number | undefined => {
  const watched = nodes.get(node)
  return watched === undefined ? undefined : phi(options, watched, nowMs)
}

/** Section 5.3: gaps as a normal distribution of their mean and variance; no narrower than a quiet machine's. */
const phi = ({ pauseMs }: AvailabilityOptions, { gapsMs, heardMs }: Watched, nowMs: number): number => {
  const { meanMs, variationMs } = gapsOf(gapsMs)
  const y = (nowMs - heardMs - pauseMs - meanMs) / variationMs
  // The normal distribution's tail, as a logistic curve: within 0.00014 of it (Bowling et al. 2009).
  const exponent = y * (1.5976 + 0.070566 * y * y)
  return exponent > 700 ? Number.POSITIVE_INFINITY : Math.log10(1 + Math.exp(exponent))
}

const gapsOf = (gapsMs: ReadonlyArray<number>): { readonly meanMs: number; readonly variationMs: number } => {
  // As the paper has it, a few samples of what is expected count until there are enough of what is so.
  const some = gapsMs.length < samplesLeast ? [...gapsMs, ...Array.from({ length: samplesLeast - gapsMs.length }, () => carrierPingMs)] : gapsMs
  const meanMs = some.reduce((sum, gap) => sum + gap, 0) / some.length
  const variance = some.reduce((sum, gap) => sum + (gap - meanMs) ** 2, 0) / some.length
  return { meanMs, variationMs: Math.max(Math.sqrt(variance), availabilityVariationMsMin) }
}

const samplesLeast = 4

export interface NodeAvailability {
  readonly node: NodeId
  readonly standing: Standing
  readonly silentMs: number
  readonly phi: number
  readonly downs: number
  /** Oldest first. */
  readonly turns: ReadonlyArray<Turn>
}

/** For `cluster status`. */
export const availabilityIn = (state: AvailabilityState, nowMs: number): ReadonlyArray<NodeAvailability> =>
  [...state.nodes].map(([node, watched]) => ({
    node, standing: watched.standing, silentMs: Math.max(0, nowMs - watched.heardMs), phi: phi(state.options, watched, nowMs), downs: watched.downs, turns: [...watched.turns]
  }))
