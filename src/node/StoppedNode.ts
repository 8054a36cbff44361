/**
 * StoppedNode: maintenance of a folder that no node serves: the node itself is started without S3, with its admin
 * address on a free port of this machine, for as long as one request takes.
 */
import { Effect } from "effect"
import type { Endpoint } from "../ports/HttpClient.ts"
import { readMarker } from "./layers.ts"
import { startNodeHere } from "./Node.ts"
import { resolveSettings } from "./Settings.ts"

export const withStoppedNode = <A, E, R>(
  data: string,
  env: Readonly<Record<string, string | undefined>>,
  use: (admin: Endpoint) => Effect.Effect<A, E, R>
) =>
  Effect.scoped(Effect.gen(function* () {
    const settings = yield* resolveSettings({ data, admin: "127.0.0.1:0" }, env, undefined)
    // Looked at first: opening would make a folder that is not there.
    yield* readMarker(data)
    const node = yield* startNodeHere(settings, { serveS3: false })
    return yield* use({ secure: false, host: node.admin.host, port: node.admin.port })
  }))
