/** The runner of the models, without TLC: what it reads, what it edits, and what it takes for a failure. */
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { cfgExpecting, edited, faultsOf, folders, invariantsOf, type Model, propertiesOf, readModel } from "../../tla/Model.ts"
import { faultOfVariant, neverTaken, type Outcome, outcomeOf } from "../../tla/Outcome.ts"

const root = join(import.meta.dirname, "../../tla")

const message = (code: number, text: string): string => `@!@!@STARTMSG ${code}:0 @!@!@\n${text}\n@!@!@ENDMSG ${code} @!@!@\n`

const totals = message(2199, "1,225 states generated, 80 distinct states found, 0 states left on queue.") + message(2194, "The depth of the complete state graph search is 9.")

const exhausted = message(2193, "Model checking completed. No error has been found.") + message(2772, "<Add line 8, col 1 to line 8, col 6 of module A>: 75:1,160") + totals

const outcome = (change: Partial<Outcome>): Outcome => ({ ...outcomeOf(exhausted, 0, 1), ...change })

describe("the models in the tree", async () => {
  const models = await Promise.all([...folders(root)].map((folder) => readModel(root, folder)))

  it.each(models.map((model) => [model.folder, model] as const))("%s: every variant edits its protocol, every name is checked, every check has a variant", (_, model) => {
    expect(faultsOf(model)).toEqual([])
  })

  it("the runner's own model is no model of a protocol, and has a variant that edits nothing that is there", async () => {
    expect(folders(root)).not.toContain("alarm")
    expect(faultsOf(await readModel(root, "alarm")).join()).toMatch(/a text that is not there: its text is there 0 times/)
  })
})

describe("variants", () => {
  it("replace a text that is there once, as it stands", () => {
    expect(edited("a /\\ b", [{ find: "/\\ b", replace: "$& $1" }])).toEqual({ text: "a $& $1" })
  })

  it.each([
    ["not there", [{ find: "x", replace: "y" }], /0 times/],
    ["there twice", [{ find: "a", replace: "y" }], /2 times/],
    ["empty", [{ find: "", replace: "y" }], /0 times/],
    ["replaced by itself", [{ find: "b", replace: "b" }], /change nothing/],
    ["not given", [], /edits nothing/]
  ])("a text that is %s is a failure", (_, edits, fault) => {
    expect(edited("a b a", edits)).toMatchObject({ fault: expect.stringMatching(fault) })
  })

  it("a name that no cfg checks, a model that is not there, two of a name, and a check without a variant are failures", async () => {
    const alarm = await readModel(root, "alarm")
    const [first] = alarm.variants
    const faults = (variants: Model["variants"]): string => faultsOf({ ...alarm, variants }).join("\n")
    expect(faults([{ ...first!, expect: "Nothing" }])).toMatch(/MCAlarm.cfg does not check Nothing/)
    expect(faults([{ ...first!, model: "MCOther" }])).toMatch(/there is no model MCOther/)
    expect(faults([first!, first!])).toMatch(/two of this name/)
    expect(faults([first!])).toMatch(/no variant shows that Ends can fail/)
  })

  it("pass only where TLC breaks what is expected", () => {
    expect(faultOfVariant(outcome({ verdict: "violated", name: "Safe" }), "Safe")).toBeUndefined()
    expect(faultOfVariant(outcome({ verdict: "violated", name: "Other" }), "Safe")).toBe("Other is violated, not Safe")
    expect(faultOfVariant(outcome({}), "Safe")).toMatch(/TLC accepts it/)
    expect(faultOfVariant(outcome({ verdict: "timeout" }), "Safe")).toMatch(/not rejected in 1 s/)
    expect(faultOfVariant(outcome({ verdict: "error" }), "Safe")).toBe("TLC failed")
  })
})

describe("a cfg", () => {
  const cfg = "SPECIFICATION Spec\nCONSTANTS\n  A = 3 \\* three\n  B = {x, y}\n  C <- D\nINVARIANTS\n  TypeOK\n  Safe\nPROPERTY Live\nSYMMETRY Perms\n"

  it("is read for what it checks", () => {
    expect([invariantsOf(cfg), propertiesOf(cfg)]).toEqual([["TypeOK", "Safe"], ["Live"]])
  })

  it("that judges a variant keeps all invariants, and a property only where it is expected", () => {
    const invariant = cfgExpecting(cfg, "Safe")
    expect([invariantsOf(invariant), propertiesOf(invariant)]).toEqual([["TypeOK", "Safe"], []])
    const property = cfgExpecting(cfg, "Live")
    expect([invariantsOf(property), propertiesOf(property)]).toEqual([["TypeOK", "Safe"], ["Live"]])
    expect(property).toMatch(/CONSTANTS\n {2}A = 3 +\n {2}B = \{x, y\}\n {2}C <- D\n/)
  })
})

describe("what TLC says", () => {
  it("is a pass only when it says that it exhausted the model", () => {
    expect(outcomeOf(exhausted, 0, 1)).toMatchObject({ verdict: "passed", generated: 1225, distinct: 80, depth: 9 })
    expect(outcomeOf(totals, 0, 1).verdict).toBe("error")
    expect(outcomeOf(exhausted, 1, 1).verdict).toBe("error")
    expect(outcomeOf(exhausted, "timeout", 1).verdict).toBe("timeout")
    expect(outcomeOf("", 0, 1).verdict).toBe("error")
  })

  it.each([
    [2110, "Invariant Safe is violated.", "Safe"],
    [2107, "Invariant Safe is violated by the initial state:\n/\\ x = 1", "Safe"],
    [2112, "Action property Grows is violated.", "Grows"],
    [2116, "Temporal properties were violated.\n", "Live"]
  ])("message %i names what is violated", (code, text, name) => {
    expect(outcomeOf(message(code, text) + totals, 12, 1, "Live")).toMatchObject({ verdict: "violated", name })
  })

  it("an action that no run takes is a failure, one that some run takes is not", () => {
    const taken = (name: string, generated: number): Outcome => outcome({ actions: [{ name, place: "", distinct: 0, generated }] })
    expect(neverTaken([taken("Add", 0)])).toEqual(["action Add is never taken"])
    expect(neverTaken([taken("Add", 0), taken("Add", 3)])).toEqual([])
    expect(neverTaken([outcome({ actions: [] })])).toEqual(["no action was counted"])
    expect(neverTaken([taken("Next", 3)]).join()).toMatch(/has no name/)
    expect(outcomeOf(exhausted, 0, 1).actions).toMatchObject([{ name: "Add", generated: 1160, distinct: 75 }])
  })
})
