/** Every script of script/ gives the transcript that it has written down. SCRIPTS_REWRITE=1 writes them anew. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { expect, test } from "vitest"
import { runScript } from "./Script.ts"

const folder = new URL("./script/", import.meta.url)

for (const file of readdirSync(folder).sort()) {
  const path = new URL(file, folder)
  const text = readFileSync(path, "utf8")
  test(text.split("\n")[0]!.replace(/^# /, ""), async () => {
    const played = await runScript(text)
    if (process.env["SCRIPTS_REWRITE"] === "1") writeFileSync(path, played)
    expect(played).toBe(readFileSync(path, "utf8"))
  })
}
