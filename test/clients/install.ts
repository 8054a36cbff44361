/**
 * The clients, installed by themselves into .clients/ (ignored by git) at pinned versions and kept between runs.
 * It sits between the registries (PyPI, Debian, the Go proxy, by their ordinary clients) and run.ts. A client that
 * cannot be had is an error with its name: nothing is left out in silence.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { projectRoot, runCommand } from "../e2e/server.ts"

export const clientsFolder = join(projectRoot, ".clients")

const installMsMax = 5 * 60_000

export interface Clients {
  readonly aws: string
  readonly botoOld: string
  readonly botoNew: string
  readonly rclone: string
  readonly restic: string
  /** One line a client: its name and the version that runs. */
  readonly versions: ReadonlyArray<string>
}

export class ClientMissing extends Error {
  readonly client: string
  constructor(client: string, detail: string) {
    super(`${client} cannot be had: ${detail}`)
    this.client = client
  }
}

const run = async (client: string, command: string, args: ReadonlyArray<string>, cwd = clientsFolder, env: Record<string, string> = {}): Promise<string> => {
  const { code, stdout, stderr, late } = await runCommand(command, args, {
    cwd, msMax: installMsMax, env: { ...(process.env as Record<string, string>), ...env }
  })
  if (code === 0) return stdout.toString("utf8")
  const said = `${stdout.toString("utf8")}\n${stderr}`.trim().split("\n").slice(-8).join("\n")
  throw new ClientMissing(client, `${command} ${args.join(" ")} ended with ${late ? "no end in time" : code}\n${said}`)
}

/** The stamp comes last: a broken install is never taken for a client. */
const installed = async (name: string, pin: string, install: (folder: string) => Promise<void>): Promise<string> => {
  const folder = join(clientsFolder, name)
  const stamp = join(folder, "pin.txt")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === pin) return folder
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const startMs = performance.now()
  await install(folder)
  writeFileSync(stamp, pin)
  console.log(`installed ${name} (${pin}) in ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
  return folder
}

const python = (name: string, client: string, packages: ReadonlyArray<string>): Promise<string> =>
  installed(name, packages.join(" "), async (folder) => {
    await run(client, "python3", ["-m", "venv", folder])
    await run(client, join(folder, "bin", "pip"), ["install", "--quiet", "--disable-pip-version-check", ...packages])
  })

/** A Debian package, unpacked without being installed: the machine stays as it is, and no root is needed. */
const debian = async (client: string, folder: string): Promise<void> => {
  const download = (): Promise<string> => run(client, "apt-get", ["download", client], folder)
  try {
    await download()
  } catch (error) {
    if (!(error instanceof ClientMissing)) throw error
    await run(client, "apt-get", ["update", "-qq"], folder)
    await download()
  }
  const file = readdirSync(folder).find((name) => name.endsWith(".deb"))
  if (file === undefined) throw new ClientMissing(client, "apt-get downloaded no package")
  await run(client, "dpkg", ["-x", file, folder], folder)
  mkdirSync(join(folder, "bin"), { recursive: true })
  renameSync(join(folder, "usr", "bin", client), join(folder, "bin", client))
}

const rcloneVersion = "1.75.1"
const resticVersion = "0.14.0"

/** From source by the Go proxy, its sums checked in: Debian's is years older, and as AWS it insists on virtual hosts. */
const rclone = (): Promise<string> =>
  installed("rclone", `go ${rcloneVersion}`, async (folder) => {
    const source = join(folder, "source")
    cpSync(join(projectRoot, "test", "clients", "rclone"), source, { recursive: true })
    const env = { GOPATH: join(folder, "gopath"), GOCACHE: join(folder, "gocache"), GOFLAGS: "-modcacherw -buildvcs=false", GOTOOLCHAIN: "local" }
    await run("rclone", "go", ["build", "-o", join(folder, "bin", "rclone"), "."], source, env)
    for (const name of ["source", "gopath", "gocache"]) rmSync(join(folder, name), { recursive: true, force: true })
  })

const versionOf = async (client: string, command: string, args: ReadonlyArray<string>, expected: string): Promise<string> => {
  const text = await run(client, command, args)
  const line = text.split("\n")[0] ?? ""
  if (!new RegExp(expected).test(line)) throw new ClientMissing(client, `expected ${expected}, but it says: ${line}`)
  return `${client}: ${line}`
}

export const installClients = async (): Promise<Clients> => {
  mkdirSync(clientsFolder, { recursive: true })
  const [awsFolder, oldFolder, newFolder, resticFolder, rcloneFolder] = await Promise.all([
    python("aws", "aws-cli", ["awscli==1.45.64", "botocore==1.43.64"]),
    python("boto3-old", "boto3 1.26", ["boto3==1.26.165", "botocore==1.29.165", "urllib3==1.26.20"]),
    python("boto3-new", "boto3", ["boto3==1.43.127", "botocore==1.43.127"]),
    installed("restic", `debian ${resticVersion}`, (folder) => debian("restic", folder)),
    rclone()
  ])
  const boto = ["-c", "import boto3, botocore; print('boto3', boto3.__version__, 'botocore', botocore.__version__)"]
  const clients = {
    aws: join(awsFolder, "bin", "aws"),
    botoOld: join(oldFolder, "bin", "python"),
    botoNew: join(newFolder, "bin", "python"),
    rclone: join(rcloneFolder, "bin", "rclone"),
    restic: join(resticFolder, "bin", "restic")
  }
  const versions = [
    await versionOf("aws-cli", clients.aws, ["--version"], "^aws-cli/1\\.45\\.64 "),
    await versionOf("boto3 old", clients.botoOld, boto, "boto3 1\\.26\\.165"),
    await versionOf("boto3 new", clients.botoNew, boto, "boto3 1\\.43\\.127"),
    await versionOf("rclone", clients.rclone, ["version"], `^rclone v${rcloneVersion}`.replaceAll(".", "\\.")),
    await versionOf("restic", clients.restic, ["version"], `^restic ${resticVersion}`.replaceAll(".", "\\."))
  ]
  return { ...clients, versions }
}
