/** Health: the node's HealthBoard, for every part that has something to say. Where no node has provided one, nobody listens. */
import { Context } from "effect"
import { HealthBoard } from "../base/HealthBoard.ts"

export const Health = Context.Reference<HealthBoard>("ouroborosdb/ports/Health", { defaultValue: () => new HealthBoard({ keeps: false }) })
