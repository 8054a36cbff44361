/** Bounded memory: 2 GiB up and down as streams, with the server's peak read from the kernel. */
import { memoryOf, startServer } from "../e2e/server.ts"
import { call } from "../e2e/wire.ts"
import { type Case, assertSame, assertThat, MiB } from "./Case.ts"
import { streamOut, streamIn } from "../e2e/stream.ts"

const residentBytesMax = 512 * MiB

export const memoryCases = (): ReadonlyArray<Case> => [{
  suite: "memory",
  name: "2 GiB PUT and GET stay within 512 MiB resident",
  run: async () => {
    const server = await startServer()
    try {
      assertSame((await call(server, { method: "PUT", bucket: "memory" })).status, 200, "bucket")
      const sizeBytes = 2048 * MiB
      const sent = await streamOut(server, "memory", "large", sizeBytes)
      assertSame(sent.status, 200, "PUT")
      const got = await streamIn(server, "memory", "large")
      assertSame([got.sizeBytes, got.sha256], [sizeBytes, sent.sha256], "what came back")
      const peak = memoryOf(server.pid, "VmHWM")
      assertThat(peak !== undefined && peak <= residentBytesMax, `the server's peak is ${Math.round((peak ?? 0) / MiB)} MiB`)
      console.log(`memory: 2 GiB PUT in ${sent.ms} ms, GET in ${got.ms} ms, peak ${Math.round((peak ?? 0) / MiB)} MiB resident`)
    } finally {
      await server.stop()
      await server.dispose()
    }
  }
}]
