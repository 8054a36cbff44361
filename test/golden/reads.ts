/** What is said of a golden folder once it is served: between its script and the tests that open it. */
import { expect } from "vitest"
import { type Server, startServer } from "../e2e/server.ts"
import { admin, differences, goldenConfig, goldenEnv, moreDifferences, type Points } from "./script.ts"

/** Served twice, the folder reads as it was written, before a collection and after it: what came with later formats takes nothing that is needed, and finds no fault. */
export const readsTwice = async (data: string, points: Points | undefined): Promise<void> => {
  const all = async (server: Server) => [...await differences(server), ...(points === undefined ? [] : await moreDifferences(server, points))]
  for (const start of ["first", "second"]) {
    const server = await startServer({ data, config: goldenConfig, env: goldenEnv, args: ["--peers", "127.0.0.1:0"] })
    expect(await all(server), `${start} start`).toEqual([])
    await admin(server, "/v1/gc?now=true")
    expect(await all(server), `${start} start, collected`).toEqual([])
    expect(await admin(server, "/v1/verify")).not.toContain('"event":"finding"')
    await server.stop()
  }
}
