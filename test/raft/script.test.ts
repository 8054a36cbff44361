/** Every script of script/ gives the transcript that it has written down. SCRIPTS_REWRITE=1 writes them anew. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { runScript } from "./Script.ts"

const folder = new URL("./script/", import.meta.url)

const played = (...commands: ReadonlyArray<string>): Promise<string> => runScript(`# a story that must not be\n\n${commands.join("\n")}\n`)

describe("raft, by scripts", () => {
  for (const file of readdirSync(folder).sort()) {
    const path = new URL(file, folder)
    const text = readFileSync(path, "utf8")
    it(text.split("\n")[0]!.replace(/^# /, ""), async () => {
      const played = await runScript(text)
      if (process.env["SCRIPTS_REWRITE"] === "1") writeFileSync(path, played)
      expect(played).toBe(readFileSync(path, "utf8"))
    })
  }

  it("an emptied disk under its old name votes twice, and two lead in one term: that is seen", async () => {
    const voted = ["cluster a b c", "stand a", "deliver a b", "deliver b a", "written a", "deliver a b", "written b", "deliver b a"]
    const again = ["crash b", "drop a b", "drop a c", "disk b term 0 log", "stand c", "deliver c b", "deliver b c", "written c", "deliver c b", "written b", "deliver b c"]
    await expect(played(...voted, ...again)).rejects.toThrow("a and c both lead in term 1")
  })

  it("logs that agree on an entry and not on one before it are seen", async () => {
    await expect(played("cluster a b", "disk a term 2 log 1 2", "disk b term 2 log 2 2")).rejects.toThrow("a and b agree on a later entry, and not on 1")
  })

  it("a cluster in which nobody can lead makes no progress, and that is seen", async () => {
    await expect(played("cluster a b", "lead a", "remove b", "progress")).rejects.toThrow("nobody leads")
  })

  it("a story is refused that asks for what is not there", async () => {
    await expect(played("cluster a b", "deliver a b")).rejects.toThrow("nothing is under way on a -> b")
    await expect(played("cluster a b", "dance a")).rejects.toThrow("no such command: dance a")
  })
})
