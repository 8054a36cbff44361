/** AdminClient: JSON requests to a node's admin address with the root credentials. */
import { Effect } from "effect"
import { fromUtf8, toBase64, toUtf8 } from "../base/bytes.ts"
import { HttpClient } from "../ports/HttpClient.ts"
import type { Connection } from "./Connection.ts"
import { ServerRefused } from "./Failure.ts"

const textOf = (answer: unknown, name: "code" | "error"): string | undefined => {
  const value = (answer as Partial<Record<"code" | "error", unknown>> | null)?.[name]
  return typeof value === "string" ? value : undefined
}

/** The parsed answer; a status of 400 or more is ServerRefused with the server's sentence. */
export const adminCall = Effect.fnUntraced(function* (
  connection: Pick<Connection, "admin" | "keys">, method: "GET" | "POST", target: string, body?: unknown
) {
  const http = yield* HttpClient
  const bytes = body === undefined ? new Uint8Array(0) : toUtf8(JSON.stringify(body))
  const { keys, admin } = connection
  const { status, text } = yield* Effect.scoped(Effect.gen(function* () {
    const response = yield* http.request({
      endpoint: admin, method, target, body: bytes,
      headers: [
        ["host", `${admin.host}:${admin.port}`],
        ["authorization", `Basic ${toBase64(toUtf8(`${keys.accessKey}:${keys.secretKey}`))}`],
        ["content-type", "application/json"],
        ["content-length", String(bytes.length)]
      ]
    })
    const parts: Array<Uint8Array> = []
    for (;;) {
      const part = yield* response.body.next
      if (part === undefined) break
      parts.push(part)
    }
    return { status: response.status, text: fromUtf8(Buffer.concat(parts)) ?? "" }
  }))
  const answer = yield* Effect.try({ try: (): unknown => JSON.parse(text), catch: () => "not JSON" as const }).pipe(
    Effect.catch(() => Effect.succeed({ error: text.slice(0, 200) }))
  )
  if (status < 400) return answer
  const codes: Readonly<Record<number, string>> = { 401: "AccessDenied", 404: "NotFound" }
  return yield* new ServerRefused({
    status, code: textOf(answer, "code") ?? codes[status] ?? `HTTP ${status}`, what: `admin ${target.split("?")[0]}`,
    detail: textOf(answer, "error") ?? ""
  })
})
