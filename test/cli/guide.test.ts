/** What the documents tell people to type is what the command takes. */
import { readFileSync } from "node:fs"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Exit, Layer } from "effect"
import { CliError, Command } from "effect/cli"
import { describe, expect, test } from "vitest"
import { Environment } from "../../src/cli/Environment.ts"
import { ouroboros } from "../../src/cli/Ouroboros.ts"
import { clientLayer } from "../../src/node/process.ts"

const parsed = "parsed, and not run"
const parser = Command.runWith(
  Command.validate(ouroboros, () => Effect.fail(new CliError.ValidationError({ message: parsed }))), { version: "0", renderErrors: false }
)

const silent = new Proxy(console, { get: () => () => undefined })

/** What the parser has against it; undefined: it is a command. */
const faultOf = async (args: ReadonlyArray<string>): Promise<string | undefined> => {
  const exit = await Effect.runPromiseExit(Effect.flip(parser(args)).pipe(
    Effect.provide(Layer.mergeAll(NodeServices.layer, clientLayer, Layer.succeed(Environment, {}))), Effect.provideService(Console.Console, silent as unknown as Console.Console)
  ))
  const error: unknown = Exit.isSuccess(exit) ? exit.value : exit
  const words = error instanceof CliError.ShowHelp ? error.errors.map(({ message }) => message).join("; ") : String(error)
  return words === parsed ? undefined : words
}

/** Each call of ouroboros in a line of shell: up to a pipe, a redirection, a comment, the end of a substitution. */
const callsIn = (line: string): ReadonlyArray<ReadonlyArray<string>> =>
  [...line.replace(/(^|\s)#.*$/, "").matchAll(/(?:^|[\s(])(?:npx )?ouroboros(?= )([^|<>;&)]*)/g)].map(([, args = ""]) =>
    [...args.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare = ""]) => quoted ?? bare))

const text = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

const blocksOf = (path: string): ReadonlyArray<string> =>
  [...text(path).matchAll(/^```sh\n([^]*?)^```/gm)].flatMap(([, block = ""]) => block.replaceAll("\\\n", " ").split("\n"))

const inlineOf = (path: string): ReadonlyArray<string> =>
  [...text(path).replaceAll(/^```[^]*?^```/gm, "").matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code.replaceAll(/\s+/g, " "))

const documents = { "docs/cluster.md": 20, "README.md": 12 } as const

describe("the documents' commands", () => {
  for (const [path, least] of Object.entries(documents)) {
    test(`${path}: every line of its shell blocks`, async () => {
      const calls = blocksOf(path).flatMap(callsIn)
      expect(calls.length).toBeGreaterThanOrEqual(least)
      for (const call of calls) expect(await faultOf(call), `ouroboros ${call.join(" ")}`).toBe(undefined)
    })
  }

  test("docs/cluster.md: in its sentences as well", async () => {
    const calls = inlineOf("docs/cluster.md").flatMap(callsIn)
    expect(calls.length).toBeGreaterThanOrEqual(8)
    for (const call of calls) expect(await faultOf(call), `ouroboros ${call.join(" ")}`).toBe(undefined)
  })

  test("what is none is told: another word, another flag, too little, too much", async () => {
    expect(await faultOf(["cluster", "status", "--watch"])).toBe(undefined)
    for (const wrong of ["cluster dissolve", "cluster status --often", "cluster approve", "cluster remove a b", "cluster invite --hours many"]) {
      expect(await faultOf(wrong.split(" ")), wrong).toEqual(expect.any(String))
    }
    expect(callsIn("OUROBOROS_JOIN_TOKEN=$(npx ouroboros cluster invite --data a) npx ouroboros cluster join \"h:1\" --data b > log  # ouroboros x"))
      .toEqual([["cluster", "invite", "--data", "a"], ["cluster", "join", "h:1", "--data", "b"]])
  })
})
