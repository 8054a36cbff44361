import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { lineOf, machinesOf, type Run, runsOf, tallyOf } from "../../sim/Runs.ts"

const ours: Run = { commit: "c1c1c1c1c1c1", machines: "aaaaaaaaaaaa", profile: "short", faults: "merciful", first: 100, last: 199, worlds: 100, verdict: "ok" }
const here = { commit: "c1c1c1c1c1c1", machines: "aaaaaaaaaaaa", ranTheSame: (commit: string) => commit === "c0c0c0c0c0c0" }
const tallied = (runs: ReadonlyArray<Run>) => tallyOf(runs, here)[0]

describe("the account of swarms", () => {
  it("reads what it wrote, and names a line that is none", () => {
    const text = `commit\tmachines\n${lineOf(ours)}\n`
    expect(runsOf(text)).toEqual([ours])
    const members: Run = { ...ours, profile: "members-short" }
    expect(runsOf(`${text}${lineOf(members)}\n`)).toEqual([ours, members])
    expect(tallyOf([ours, members], here, ["members-short", "members-full"]).map(({ green, profile }) => [profile, green])).toEqual([["members-short", 100], ["members-full", 0]])
    expect(() => runsOf(`${text}${lineOf(ours).replace("short", "members")}\n`)).toThrow("line 3")
    expect(() => runsOf(`${text}nonsense\n`)).toThrow("sim/RUNS.tsv, line 3")
  })

  it("counts a seed once, of these machines alone, and only where the run was green", () => {
    expect(tallied([ours, { ...ours, first: 150, last: 249 }, { ...ours, first: 120, last: 130 }])).toMatchObject({ green: 150, greenAtCommit: 150, red: 0 })
    expect(tallied([ours, { ...ours, commit: "another", first: 1000, last: 1009 }])).toMatchObject({ green: 110, greenAtCommit: 100 })
    expect(tallied([ours, { ...ours, commit: "c0c0c0c0c0c0", first: 1000, last: 1009 }])).toMatchObject({ green: 110, greenAtCommit: 110 })
    expect(tallied([ours, { ...ours, machines: "others" }, { ...ours, profile: "full" }])).toMatchObject({ green: 100 })
    expect(tallied([ours, { ...ours, faults: "merciless" }])).toMatchObject({ green: 200 })
    expect(tallied([ours, { ...ours, first: 300, last: 399, verdict: "safety: 1 failed, the first 301" }])).toMatchObject({ green: 100, red: 1 })
  })

  it("knows machines by what worlds run of them", () => {
    const files: Record<string, string> = {
      "sim/worker.ts": `import { a } from "../src/a.ts"`, "src/a.ts": `import {\n  b\n} from "./b/b.ts"`, "src/b/b.ts": `export * from "../c.ts"`, "src/c.ts": `import type { D } from "./d.ts"\nimport type {\n  E\n} from "./d.ts"\nimport { type F, f } from "./f.ts"`,
      "src/d.ts": "1", "src/f.ts": "1", "src/other.ts": "2"
    }
    const of = (changed: Record<string, string>) => machinesOf("sim/worker.ts", (path) => ({ ...files, ...changed })[path]!)
    const before = of({})
    expect(before).toMatch(/^[0-9a-f]{12}$/)
    expect(of({ "src/other.ts": "3" })).toBe(before)
    expect(of({ "src/d.ts": "types do not run" })).toBe(before)
    expect(of({ "sim/worker.ts": `${files["sim/worker.ts"]}\n// said anew` })).toBe(before)
    for (const path of ["src/a.ts", "src/b/b.ts", "src/c.ts", "src/f.ts"]) expect(of({ [path]: `${files[path]}\n2` }), path).not.toBe(before)
  })

  it("of one node are none of a cluster's rooms", () => {
    const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")
    const of = (changed: string) => machinesOf("sim/worker.ts", (path) => (path.startsWith(changed) ? `${read(path)}\n` : read(path)))
    const before = machinesOf("sim/worker.ts", read)
    for (const room of ["raft", "replica", "cluster", "carrier", "membership"]) expect(of(`src/${room}/`), room).toBe(before)
    for (const room of ["wal", "block", "sealer", "namespace", "gateway"]) expect(of(`src/${room}/`), room).not.toBe(before)
  })

  it("holds nothing but runs", () => {
    const runs = runsOf(readFileSync(new URL("../../sim/RUNS.tsv", import.meta.url), "utf8"))
    expect(runs.every(({ first, last, worlds }) => last - first + 1 === worlds)).toBe(true)
  })
})
