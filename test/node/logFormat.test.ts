/** Log lines: JSON for machines, words for terminals, no secret and no control character in either. */
import { Cause, Effect, Logger, References } from "effect"
import { expect, it } from "vitest"
import { Hidden, jsonLine, prettyLine } from "../../src/node/LogFormat.ts"

/** Both forms of each line that the effect logs. */
const linesOf = (effect: Effect.Effect<void>, hidden = new Hidden()) => {
  const lines: Array<{ readonly json: string; readonly pretty: string }> = []
  const logger = Logger.make<unknown, void>((event) => {
    lines.push({ json: jsonLine(event, hidden.hide), pretty: prettyLine(event, hidden.hide, false) })
  })
  Effect.runSync(effect.pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(References.MinimumLogLevel, "All")))
  return lines
}

it("a line has time, level, message and what was annotated, flat", () => {
  const [line] = linesOf(Effect.annotateLogs(Effect.logWarning("slow", 5), { request: "AB", status: 200 }))
  expect(JSON.parse(line!.json)).toMatchObject({ level: "warn", message: "slow 5", request: "AB", status: 200 })
  expect(JSON.parse(line!.json).time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  expect(line!.pretty).toMatch(/^\d\d:\d\d:\d\d\.\d{3} WARN {2}slow 5 {2}request=AB status=200$/)
})

it("a cause is told whole, in one line of JSON", () => {
  const [line] = linesOf(Effect.logError("it broke", Cause.die(new Error("boom"))))
  expect(line!.json).not.toContain("\n")
  expect(JSON.parse(line!.json).cause).toContain("boom")
  expect(line!.pretty).toContain("\n  Error: boom")
})

it("what a client sent does not steer the terminal, nor make a second line", () => {
  const [line] = linesOf(Effect.annotateLogs(Effect.logInfo("a\u001b[31m\u0007\r\nINFO forged"), { target: "/b/\u009b2J\n" }))
  // oxlint-disable-next-line no-control-regex
  expect(line!.pretty).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
  expect(line!.json).not.toContain("\n")
})

it("no line shows a hidden word, whether in its message, its annotations or its cause, encoded or not", () => {
  const hidden = new Hidden()
  const secret = "S3cret/+key \"quoted\""
  hidden.add(secret)
  hidden.add("short")
  const lines = linesOf(Effect.annotateLogs(
    Effect.logError(`a ${secret} short`, Cause.die(new Error(`with ${secret}`))),
    { plain: secret, url: encodeURIComponent(secret), nested: { secret } }
  ), hidden)
  for (const text of [lines[0]!.json, lines[0]!.pretty]) {
    expect(text).not.toContain("S3cret")
    expect(text).toContain("short")
  }
  expect(JSON.parse(lines[0]!.json)).toMatchObject({ plain: "REDACTED" })
})
