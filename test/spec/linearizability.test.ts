/** The checker of histories against histories that are known to be right or wrong, and against one that tries every order. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { checkByKey, checkLinearizable, explain, type Operation, type SequentialModel } from "../../spec/Linearizability.ts"
import { type KeyInput, type KeyOutput, type KeyState, type KeyVersioning, objectKeyModel } from "../../spec/ObjectKey.ts"

type KeyOperation = Operation<KeyInput, KeyOutput>
type Times = readonly [calledAt: number, returnedAt?: number | undefined]
type Condition = NonNullable<KeyInput["condition"]>

const key = "k"
const operation = (input: KeyInput, output: KeyOutput | undefined, [calledAt, at]: Times): KeyOperation =>
  output === undefined || at === undefined ? { input, calledAt, ...(at === undefined ? {} : { deadline: at }) } : { input, calledAt, answer: { output, at } }
const etagOf = (content: string): string => `e${content}`
const asked = (versionId?: string, condition?: Condition) => ({
  ...(versionId === undefined ? {} : { versionId }), ...(condition === undefined ? {} : { condition })
})

const put = (content: string, times: Times, condition?: Condition, output: KeyOutput = { _tag: "Stored" }) =>
  operation({ _tag: "Put", key, content, etag: etagOf(content), ...asked(undefined, condition) }, output, times)
/** Nobody was told what became of it; `deadline`: by when its process was gone. */
const lostPut = (content: string, calledAt: number, deadline?: number, condition?: Condition) =>
  operation({ _tag: "Put", key, content, etag: etagOf(content), ...asked(undefined, condition) }, undefined, [calledAt, deadline])
const putVersion = (content: string, versionId: string, times: Times, condition?: Condition) => put(content, times, condition, { _tag: "Stored", versionId })
const refused = (output: KeyOutput, content: string, times: Times, condition: Condition) => put(content, times, condition, output)
const remove = (times: Times, marker?: string, versionId?: string) =>
  operation({ _tag: "Delete", key, ...asked(versionId) }, { _tag: "Deleted", ...(marker === undefined ? {} : { marker }) }, times)
const lostDelete = (calledAt: number) => operation({ _tag: "Delete", key }, undefined, [calledAt])
const found = (content: string, versionId?: string): KeyOutput => ({ _tag: "Found", content, etag: etagOf(content), ...asked(versionId) })
const get = (output: KeyOutput, times: Times, versionId?: string, condition?: Condition) => operation({ _tag: "Get", key, ...asked(versionId, condition) }, output, times)
const missing: KeyOutput = { _tag: "Missing" }
const failed: KeyOutput = { _tag: "PreconditionFailed" }

type Story = readonly [name: string, versioning: KeyVersioning, history: ReadonlyArray<KeyOperation>]

const good: ReadonlyArray<Story> = [
  ["nothing happened", "Unversioned", []],
  ["a read of what was written", "Unversioned", [put("1", [1, 2]), get(found("1"), [3, 4])]],
  ["a read beside a write sees the old", "Unversioned", [put("1", [1, 2]), put("2", [3, 8]), get(found("1"), [4, 5])]],
  ["a read beside a write sees the new, and so does the next", "Unversioned", [put("1", [1, 2]), put("2", [3, 9]), get(found("2"), [4, 5]), get(found("2"), [6, 7])]],
  ["Herlihy and Wing's register: write 0, write 1 beside it, both are read in turn", "Unversioned", [put("0", [1, 6]), put("1", [2, 3]), get(found("1"), [4, 5]), get(found("0"), [7, 8])]],
  ["two writers side by side, either wins", "Unversioned", [put("1", [1, 5]), put("2", [2, 4]), get(found("1"), [6, 7])]],
  ["times that are equal overlap", "Unversioned", [put("1", [1, 2]), get(missing, [2, 3])]],
  ["a lost write is read much later", "Unversioned", [put("1", [1, 2]), lostPut("2", 3), get(found("1"), [4, 5]), get(found("1"), [6, 7]), get(found("2"), [8, 9])]],
  ["a lost write never happens", "Unversioned", [put("1", [1, 2]), lostPut("2", 3), get(found("1"), [4, 5])]],
  ["a lost write happens before its process is gone", "Unversioned", [put("1", [1, 2]), lostPut("2", 3, 6), get(found("1"), [4, 5]), get(found("2"), [7, 8])]],
  ["a lost delete takes a later write away", "Unversioned", [lostDelete(1), put("1", [2, 3]), get(found("1"), [4, 5]), get(missing, [6, 7])]],
  ["one of two conditional creations wins", "Unversioned", [put("1", [1, 5], { ifNoneMatch: "*" }), refused(failed, "2", [2, 6], { ifNoneMatch: "*" }), get(found("1"), [7, 8])]],
  ["a compare-and-set fails since a lost write came between", "Unversioned", [put("1", [1, 2]), lostPut("2", 3), refused(failed, "3", [4, 5], { ifMatch: "e1" }), get(found("2"), [6, 7])]],
  ["a compare-and-set of what is gone is missing", "Unversioned", [put("1", [1, 2]), remove([3, 4]), refused(missing, "2", [5, 6], { ifMatch: "e1" })]],
  ["etags that are equal, contents that are not", "Unversioned", [put("1", [1, 2]), operation({ _tag: "Put", key, content: "copy", etag: "e1", condition: { ifMatch: "e1" } }, { _tag: "Stored" }, [3, 4]), get({ _tag: "Found", content: "copy", etag: "e1" }, [5, 6])]],
  ["versions stay", "Enabled", [putVersion("1", "v1", [1, 2]), putVersion("2", "v2", [3, 4]), get(found("1", "v1"), [5, 6], "v1"), get(found("2", "v2"), [7, 8])]],
  ["a delete marker hides, and its end shows again", "Enabled", [putVersion("1", "v1", [1, 2]), remove([3, 4], "m1"), get({ ...missing, marker: "m1" }, [5, 6]), get({ _tag: "Marker" }, [7, 8], "m1"), remove([9, 10], "m1", "m1"), get(found("1", "v1"), [11, 12])]],
  ["a lost version gets its name when it is read, and keeps it", "Enabled", [lostPut("1", 1), get(found("1", "v1"), [2, 3]), putVersion("2", "v2", [4, 5]), get(found("1", "v1"), [6, 7], "v1")]],
  ["a version that was taken away is gone", "Enabled", [putVersion("1", "v1", [1, 2]), putVersion("2", "v2", [3, 4]), remove([5, 6], undefined, "v2"), get(found("1", "v1"), [7, 8]), get(missing, [9, 10], "v2")]],
  ["a suspended bucket replaces its null version alone", "Suspended", [putVersion("1", "null", [1, 2]), putVersion("2", "null", [3, 4]), get(found("2", "null"), [5, 6]), remove([7, 8], "null"), get({ ...missing, marker: "null" }, [9, 10])]],
  ["conditional reads", "Unversioned", [put("1", [1, 2]), get({ _tag: "NotModified" }, [3, 4], undefined, { ifNoneMatch: "e1" }), get(failed, [5, 6], undefined, { ifMatch: "e2" })]]
]

const bad: ReadonlyArray<Story> = [
  ["stale read: the old after the new was written", "Unversioned", [put("1", [1, 2]), put("2", [3, 4]), get(found("1"), [5, 6])]],
  ["lost update: an acknowledged write is not there", "Unversioned", [put("1", [1, 2]), get(missing, [3, 4])]],
  ["lost update: both compare-and-sets of one value succeed", "Unversioned", [put("1", [1, 2]), put("2", [3, 6], { ifMatch: "e1" }), put("3", [4, 7], { ifMatch: "e1" })]],
  ["split brain: both conditional creations succeed", "Unversioned", [put("1", [1, 4], { ifNoneMatch: "*" }), put("2", [2, 5], { ifNoneMatch: "*" })]],
  ["split brain: two readers see two orders", "Unversioned", [put("1", [1, 20]), put("2", [2, 21]), get(found("1"), [3, 4]), get(found("2"), [5, 6]), get(found("1"), [7, 8])]],
  ["a read of what nobody wrote", "Unversioned", [put("1", [1, 2]), get(found("9"), [3, 4])]],
  ["a read of what is only written later", "Unversioned", [get(found("1"), [1, 2]), put("1", [3, 4])]],
  ["reads go back: new, then old, beside the write", "Unversioned", [put("1", [1, 2]), put("2", [3, 10]), get(found("2"), [4, 5]), get(found("1"), [6, 7])]],
  ["a delete comes undone", "Unversioned", [put("1", [1, 2]), remove([3, 4]), get(found("1"), [5, 6])]],
  ["a lost write happens twice", "Unversioned", [put("1", [1, 2]), lostPut("2", 3), get(found("2"), [4, 5]), put("3", [6, 7]), get(found("2"), [8, 9])]],
  ["a lost write happens before it is asked for", "Unversioned", [get(found("1"), [1, 2]), lostPut("1", 3)]],
  ["a lost write happens after its process was gone", "Unversioned", [put("1", [1, 2]), lostPut("2", 3, 4), get(found("1"), [5, 6]), get(found("2"), [7, 8])]],
  ["a lost conditional write happens though its condition never held", "Unversioned", [put("1", [1, 2]), lostPut("2", 3, undefined, { ifMatch: "e9" }), get(found("2"), [4, 5])]],
  ["a condition is refused that held all the time", "Unversioned", [put("1", [1, 2]), refused(failed, "2", [3, 4], { ifMatch: "e1" })]],
  ["a creation is refused where nothing ever was", "Unversioned", [refused(failed, "1", [1, 2], { ifNoneMatch: "*" }), get(missing, [3, 4])]],
  ["a write that was refused is read", "Unversioned", [put("1", [1, 2]), refused(failed, "2", [3, 4], { ifNoneMatch: "*" }), get(found("2"), [5, 6])]],
  ["a version becomes another one", "Enabled", [putVersion("1", "v1", [1, 2]), putVersion("2", "v2", [3, 4]), get(found("2", "v1"), [5, 6], "v1")]],
  ["a version is lost beside a newer one", "Enabled", [putVersion("1", "v1", [1, 2]), putVersion("2", "v2", [3, 4]), get(missing, [5, 6], "v1")]],
  ["a lost version is called by two names", "Enabled", [lostPut("1", 1), get(found("1", "v1"), [2, 3]), get(found("1", "v2"), [4, 5])]],
  ["two versions have one name", "Enabled", [putVersion("1", "v1", [1, 2]), putVersion("2", "v1", [3, 4])]],
  ["a delete without a marker, where there are versions", "Enabled", [putVersion("1", "v1", [1, 2]), remove([3, 4])]],
  ["a delete marker is not there", "Enabled", [putVersion("1", "v1", [1, 2]), remove([3, 4], "m1"), get(found("1", "v1"), [5, 6])]],
  ["a version that was taken away is read", "Enabled", [putVersion("1", "v1", [1, 2]), remove([3, 4], undefined, "v1"), get(found("1", "v1"), [5, 6], "v1")]],
  ["a suspended bucket keeps what it should replace", "Suspended", [putVersion("1", "null", [1, 2]), putVersion("2", "null", [3, 4]), get(found("1", "null"), [5, 6], "null")]],
  ["not modified, though it is another", "Unversioned", [put("1", [1, 2]), put("2", [3, 4]), get({ _tag: "NotModified" }, [5, 6], undefined, { ifNoneMatch: "e1" })]],
  ["right etag, wrong content", "Unversioned", [put("1", [1, 2]), get({ _tag: "Found", content: "2", etag: "e1" }, [3, 4])]]
]

/** Every order of every subset that has what must be there: so plain that it cannot be wrong, and for small histories only. */
const bruteForce = <State, Input, Output>(history: ReadonlyArray<Operation<Input, Output>>, model: SequentialModel<State, Input, Output>): boolean => {
  const endOf = ({ answer, deadline }: Operation<Input, Output>): number => answer?.at ?? deadline ?? Number.POSITIVE_INFINITY
  const go = (state: State, left: ReadonlyArray<Operation<Input, Output>>): boolean => {
    if (left.every(({ answer }) => answer === undefined)) return true
    return left.some((next, index) => {
      const rest = left.filter((_, other) => other !== index)
      if (rest.some((other) => endOf(other) < next.calledAt && other.answer !== undefined)) return false
      // A lost one whose time is over when the next is called never happens.
      const alive = rest.filter((other) => other.answer !== undefined || endOf(other) >= next.calledAt)
      return model.step(state, next.input, next.answer?.output).some((after) => go(after, alive))
    })
  }
  return go(model.initial, history)
}

const contents = fc.constantFrom("1", "2", "3")
const conditions = fc.constantFrom<Condition | undefined>(undefined, undefined, { ifMatch: "e1" }, { ifMatch: "*" }, { ifNoneMatch: "*" }, { ifNoneMatch: "e2" })
const versionIds = fc.constantFrom("v1", "v2", "v3")
const perhaps = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined, freq: 2 })

const inputs: fc.Arbitrary<KeyInput> = fc.oneof(
  fc.tuple(contents, conditions).map(([content, condition]): KeyInput => ({ _tag: "Put", key, content, etag: etagOf(content), ...asked(undefined, condition) })),
  fc.tuple(perhaps(versionIds), conditions).map(([versionId, condition]): KeyInput => ({ _tag: "Delete", key, ...asked(versionId, condition) })),
  fc.tuple(perhaps(versionIds), conditions).map(([versionId, condition]): KeyInput => ({ _tag: "Get", key, ...asked(versionId, condition) }))
)

const outputsOf = (input: KeyInput, versioning: KeyVersioning): fc.Arbitrary<KeyOutput> => {
  const ids = versioning === "Suspended" ? fc.constant("null") : versionIds
  const stamp = (of: "versionId" | "marker", tag: "Stored" | "Deleted" | "Missing") =>
    ids.map((id): KeyOutput => (versioning === "Unversioned" ? { _tag: tag } : { _tag: tag, [of]: id }) as KeyOutput)
  const judged = fc.constantFrom<KeyOutput>(failed, missing)
  switch (input._tag) {
    case "Put":
      return fc.oneof({ weight: 3, arbitrary: stamp("versionId", "Stored") }, { weight: 1, arbitrary: judged })
    case "Delete":
      return fc.oneof({ weight: 3, arbitrary: stamp("marker", "Deleted") }, fc.constant<KeyOutput>({ _tag: "Deleted" }), judged)
    case "Get":
      return fc.oneof(
        { weight: 4, arbitrary: fc.tuple(contents, ids).map(([content, id]) => found(content, versioning === "Unversioned" ? undefined : input.versionId ?? id)) },
        fc.constantFrom<KeyOutput>(missing, missing, failed, { _tag: "NotModified" }, { _tag: "Marker" }), stamp("marker", "Missing"))
  }
}

const histories = (versioning: KeyVersioning, lengthMax: number): fc.Arbitrary<ReadonlyArray<KeyOperation>> =>
  fc.array(inputs.chain((input) => fc.record({
    input: fc.constant(input), output: outputsOf(input, versioning), calledAt: fc.nat(12), takes: fc.nat(6), lost: fc.nat(4)
  })).map(({ input, output, calledAt, takes, lost }) =>
    operation(input, lost < 2 ? undefined : output, lost === 0 ? [calledAt] : [calledAt, calledAt + takes])), { maxLength: lengthMax })

describe("linearizability", () => {
  for (const [name, versioning, history] of good) {
    test(`linearizability: ${name}: this can be (${versioning})`, () => {
      const verdict = checkLinearizable(history, objectKeyModel(versioning))
      expect(verdict._tag, explain(history, verdict)).toBe("Linearizable")
    })
  }

  for (const [name, versioning, history] of bad) {
    test(`linearizability: ${name}: this cannot be (${versioning})`, () => {
      expect(checkLinearizable(history, objectKeyModel(versioning))._tag).toBe("Violation")
    })
  }

  for (const versioning of ["Unversioned", "Enabled", "Suspended"] as const) {
    test(`linearizability: any small history is judged as by trying every order (${versioning})`, { timeout: 60_000 }, () => {
      const model = objectKeyModel(versioning)
      let right = 0
      let judged = 0
      fc.assert(fc.property(histories(versioning, 6), (history) => {
        const expected = bruteForce(history, model)
        judged += 1
        if (expected && history.length > 2) right += 1
        expect(checkLinearizable(history, model)._tag).toBe(expected ? "Linearizable" : "Violation")
      }), { numRuns: 3000 })
      expect(right, "histories that can be").toBeGreaterThan(100)
      expect(judged - right, "histories that cannot be").toBeGreaterThan(100)
    })
  }

  test("linearizability: answers of a real register are accepted, whatever the order of its clients; one that is altered is not, where that is wrong", { timeout: 60_000 }, () => {
    const model = objectKeyModel("Unversioned")
    let caught = 0
    fc.assert(fc.property(fc.array(fc.tuple(inputs, fc.nat(3), fc.nat(3), fc.nat(5)), { minLength: 4, maxLength: 60 }), fc.nat(59), (drawn, which) => {
      // Each takes effect at its place in the array, its call some places before and its return some after.
      let state: KeyState = model.initial
      const history = drawn.map(([input, before, after, fate], index): KeyOperation => {
        const alone = index === which % drawn.length ? { _tag: "Get", key } as const : input
        const [output, next] = answerOf(state, alone)
        const happens = fate > 0
        if (happens) state = next
        const calledAt = index - before - 0.5
        return fate < 2 ? { input: alone, calledAt } : { input: alone, calledAt, answer: { output, at: index + after + 0.5 } }
      })
      const verdict = checkLinearizable(history, model)
      expect(verdict._tag, explain(history, verdict)).toBe("Linearizable")
      const altered = history.map((one, index): KeyOperation =>
        (index === which % drawn.length && one.answer !== undefined ? { ...one, answer: { ...one.answer, output: found("nobody's") } } : one))
      const isAltered = altered.some((one) => one.answer?.output._tag === "Found" && one.answer.output.content === "nobody's")
      if (isAltered) caught += 1
      expect(checkLinearizable(altered, model)._tag).toBe(isAltered ? "Violation" : "Linearizable")
    }), { numRuns: 500 })
    expect(caught).toBeGreaterThan(100)
  })

  test("linearizability: what is too large is undecided, with its sizes, and never a verdict", () => {
    const puts = Array.from({ length: 24 }, (_, index) => put(`${index}`, [index, 100]))
    const history = [...puts, get(found("nobody's"), [101, 102])]
    const verdict = checkLinearizable(history, objectKeyModel("Unversioned"), { configurationsMax: 500 })
    expect(verdict).toMatchObject({ _tag: "Undecided", limit: "configurationsMax", sizes: { operations: 25 } })
    expect(checkLinearizable(history, objectKeyModel("Unversioned"), { stepsMax: 500 })).toMatchObject({ _tag: "Undecided", limit: "stepsMax" })
    expect(explain(history, verdict)).toContain("undecided: more than configurationsMax (25 operations")
  })

  test("linearizability: many lost writes beside a long history are judged in a few steps", () => {
    const history = Array.from({ length: 400 }, (_, index) =>
      index % 10 === 0 ? lostPut(`lost${index}`, index * 10) : index % 2 === 1 ? put(`${index}`, [index * 10, index * 10 + 25]) : get(found(`${index - 1}`), [index * 10 + 6, index * 10 + 8]))
    const verdict = checkLinearizable(history, objectKeyModel("Unversioned"))
    expect(verdict._tag, explain(history, verdict)).toBe("Linearizable")
    expect(verdict.sizes.steps).toBeLessThan(20_000)
  })

  test("linearizability: each key is judged alone, and the one that is wrong is named with what does not fit", () => {
    const of = (name: string, { input, ...rest }: KeyOperation): KeyOperation => ({ ...rest, input: { ...input, key: name } })
    const history = [of("a", put("1", [1, 2])), of("b", put("2", [1, 2])), of("a", get(found("1"), [3, 4])), of("b", get(found("1"), [3, 4]))]
    const judged = checkByKey(history, (input) => input.key, () => objectKeyModel("Unversioned"))
    expect(judged).toMatchObject({ key: "b", verdict: { _tag: "Violation", order: [0], stuck: 1 } })
    expect(explain(judged.history, judged.verdict)).toContain("this one fits nowhere after it:\n  {\"_tag\":\"Get\",\"key\":\"b\"} called at 3")
  })
})

/** A register that does one thing at a time. */
const answerOf = (state: KeyState, input: KeyInput): readonly [KeyOutput, KeyState] => {
  const model = objectKeyModel("Unversioned")
  const current = state[0]
  const possible: ReadonlyArray<KeyOutput> = [
    { _tag: "Stored" }, { _tag: "Deleted" }, missing, failed, { _tag: "NotModified" }, ...(current?.content === undefined ? [] : [found(current.content)])
  ]
  for (const output of possible) {
    const next = model.step(state, input, output)[0]
    if (next !== undefined) return [output, next]
  }
  throw new Error(`a register answers ${JSON.stringify(input)}`)
}
