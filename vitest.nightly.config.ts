/** How the nightly suites run: every `*.test.ts` under test/nightly/, one at a time, for hours. */
import { defineConfig } from "vitest/config"

const HOURS_MS = 3_600_000

export default defineConfig({
  test: {
    environment: "node",
    pool: "forks",
    maxWorkers: 1,
    testTimeout: 8 * HOURS_MS,
    hookTimeout: HOURS_MS,
    include: ["test/nightly/**/*.test.ts"]
  }
})
