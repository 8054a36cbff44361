/**
 * Metrics: the node's Meters, for every room that counts: `const meters = yield* Metrics`, once, while its layer is
 * built. Where no node has provided any (tests, tools), counts go nowhere; nothing is shared between two nodes.
 */
import { Context } from "effect"
import { Meters } from "../base/Meters.ts"

export const Metrics = Context.Reference<Meters>("ouroborosdb/ports/Metrics", { defaultValue: () => new Meters({ keeps: false }) })
