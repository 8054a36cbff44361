/** What an operator asks of a store with other members: what they did shows once its member has fenced, and not before. */
import { Effect } from "effect"
import { expect, test } from "vitest"
import type { VertexHash } from "../../src/base/ids.ts"
import { Namespace, type NamespaceService, Unavailable } from "../../src/namespace/Namespace.ts"
import { historyControl, lineageControl } from "../../src/node/Lineages.ts"
import { Entropy } from "../../src/ports/Entropy.ts"
import { seededEntropy } from "../../sim/Entropy.ts"
import { seededRandom } from "../../sim/Random.ts"

/** Its newest commit is 3 until a fence has brought what the others have committed: 7. */
const scene = (hasQuorum: boolean) => {
  let head = 3
  const at: Array<unknown> = []
  const seen = (answer: unknown) => (...asked: ReadonlyArray<unknown>) => Effect.sync(() => (at.push(asked.at(-1)), answer))
  const namespace = {
    quorum: {
      leads: () => false,
      fence: () => Effect.suspend(() => {
        if (!hasQuorum) return Effect.fail(new Unavailable({ reason: "NoQuorum", detail: "no quorum" }))
        head = 7
        return Effect.void
      })
    },
    resolve: () => Effect.sync(() => head),
    history: seen({ versions: [] }), children: seen([]), lineage: seen([]),
    diff: (from: { readonly at: number }, to: { readonly at: number }) => Effect.sync(() => (at.push([from.at, to.at]), { entries: [] })),
    propose: (change: { readonly to?: number; readonly from?: number }) => Effect.sync(() => (at.push(change.to ?? change.from), { sequence: 8 }))
  } as unknown as NamespaceService
  const within = <A, E>(effect: Effect.Effect<A, E, Namespace | Entropy>): Effect.Effect<A, E> =>
    effect.pipe(Effect.provideService(Namespace, namespace), Effect.provideService(Entropy, seededEntropy(seededRandom(1))))
  return { at, ...historyControl(within), ...lineageControl(within) }
}

type Scene = ReturnType<typeof scene>

const asks: Readonly<Record<string, (of: Scene) => Effect.Effect<unknown, { readonly _tag: string }>>> = {
  history: ({ history }) => history("b", { prefix: "", delimiter: "", after: "", limit: 1 }, undefined),
  children: ({ children }) => children("b", "00".repeat(32) as VertexHash, undefined),
  lineage: ({ lineage }) => lineage("b", undefined),
  diff: ({ diff }) => diff({ bucket: "b", asOf: undefined }, { bucket: "c", asOf: undefined }, { prefix: "", after: "", limit: 1 }),
  rollback: ({ rollback }) => rollback("b", { _tag: "Time", ms: 5 }),
  branch: ({ branch }) => branch("b", "c", undefined)
}

test.each(Object.entries(asks))("%s sees what other members had answered when it was asked", async (name, ask) => {
  const of = scene(true)
  await Effect.runPromise(ask(of))
  expect(of.at).toEqual([name === "diff" ? [7, 7] : 7])
})

test.each(Object.entries(asks))("%s without a quorum is refused, and nothing was read or changed", async (_, ask) => {
  const of = scene(false)
  expect((await Effect.runPromise(Effect.flip(ask(of))))._tag).toBe("Unavailable")
  expect(of.at).toEqual([])
})
