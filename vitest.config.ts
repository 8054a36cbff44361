/** How `npm test` runs: every `*.test.ts` under test/ except the suites that have a command of their own. */
import { configDefaults, defineConfig } from "vitest/config"

/** Clients need programs of the machine (`npm run test:clients`); nightly ones need hours. */
const OWN_COMMAND = ["test/clients/**", "test/nightly/**"]

export default defineConfig({
  test: {
    environment: "node",
    // CommonJS packages look as they do under Node itself: their exports are the default import.
    deps: { interopDefault: false },
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    include: ["test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, ...OWN_COMMAND]
  }
})
