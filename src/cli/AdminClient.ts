/** AdminClient: JSON requests to a node's admin address with the root credentials. */
import { Effect } from "effect"
import { concatBytes, fromUtf8, toBase64, toUtf8 } from "../base/bytes.ts"
import type { Body } from "../ports/Body.ts"
import { HttpClient } from "../ports/HttpClient.ts"
import type { Connection } from "./Connection.ts"
import { ServerRefused } from "./Failure.ts"

const textOf = (answer: unknown, name: "code" | "error"): string | undefined => {
  const value = (answer as Partial<Record<"code" | "error", unknown>> | null)?.[name]
  return typeof value === "string" ? value : undefined
}

type Caller = Pick<Connection, "admin" | "keys">

const send = Effect.fnUntraced(function* ({ admin, keys }: Caller, method: "GET" | "POST", target: string, body?: unknown) {
  const http = yield* HttpClient
  const bytes = body === undefined ? new Uint8Array(0) : toUtf8(JSON.stringify(body))
  return yield* http.request({
    endpoint: admin, method, target, body: bytes,
    headers: [
      ["host", `${admin.host}:${admin.port}`],
      ["authorization", `Basic ${toBase64(toUtf8(`${keys.accessKey}:${keys.secretKey}`))}`],
      ["content-type", "application/json"],
      ["content-length", String(bytes.length)]
    ]
  })
})

const readText = Effect.fnUntraced(function* (body: Body) {
  const parts: Array<Uint8Array> = []
  for (let part = yield* body.next; part !== undefined; part = yield* body.next) parts.push(part)
  return fromUtf8(Buffer.concat(parts)) ?? ""
})

const parse = (text: string): Effect.Effect<unknown> =>
  Effect.try({ try: (): unknown => JSON.parse(text), catch: () => "not JSON" as const }).pipe(
    // What is no JSON is the error itself, as text.
    Effect.catch(() => Effect.succeed({ error: text.slice(0, 200) }))
  )

const codes: Readonly<Record<number, string>> = { 401: "AccessDenied", 404: "NotFound" }

const refusedBy = (status: number, target: string, answer: unknown): ServerRefused =>
  new ServerRefused({
    status, code: textOf(answer, "code") ?? codes[status] ?? `HTTP ${status}`, what: `admin ${target.split("?")[0]}`,
    detail: textOf(answer, "error") ?? ""
  })

/** The parsed answer; a status of 400 or more is ServerRefused with the server's sentence. */
export const adminCall = Effect.fnUntraced(function* (caller: Caller, method: "GET" | "POST", target: string, body?: unknown) {
  const { status, text } = yield* Effect.scoped(Effect.gen(function* () {
    const response = yield* send(caller, method, target, body)
    return { status: response.status, text: yield* readText(response.body) }
  }))
  const answer = yield* parse(text)
  return status < 400 ? answer : yield* refusedBy(status, target, answer)
})

/** An answer of one JSON value a line, each as it comes. Whoever is interrupted here ends what answers. */
export const adminLines = <E, R>(caller: Caller, target: string, each: (value: unknown) => Effect.Effect<void, E, R>) =>
  Effect.scoped(Effect.gen(function* () {
    const { body, status } = yield* send(caller, "POST", target)
    if (status >= 400) return yield* refusedBy(status, target, yield* parse(yield* readText(body)))
    let rest: Uint8Array = new Uint8Array(0)
    for (let part = yield* body.next; part !== undefined; part = yield* body.next) {
      let bytes = concatBytes([rest, part])
      for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline)) {
        yield* each(yield* parse(fromUtf8(bytes.subarray(0, end)) ?? ""))
        bytes = bytes.subarray(end + 1)
      }
      rest = bytes
    }
  }))

const newline = 0x0a
