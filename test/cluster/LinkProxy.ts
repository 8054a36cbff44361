/**
 * LinkProxy: one member's address as the others know it, with a wire that can be cut: bytes go on to where the member really listens, or nowhere. Which member has dialled
 * is looked up by its socket in /proc, so that each link is cut alone. Between the members of a test's cluster.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"

interface Wire {
  readonly from: number | undefined
  readonly near: Socket
  readonly far: Socket
}

export class LinkProxy {
  readonly #server: Server
  readonly #wires = new Set<Wire>()
  readonly #target: () => number
  readonly #isCut: (from: number | undefined) => boolean

  /** `target`: the port where the member listens. `isCut`: of a process that has dialled (undefined: nobody's that is known). */
  private constructor(server: Server, target: () => number, isCut: (from: number | undefined) => boolean) {
    this.#server = server
    this.#target = target
    this.#isCut = isCut
    server.on("connection", (socket) => this.#accept(socket))
  }

  static async open(target: () => number, isCut: (from: number | undefined) => boolean): Promise<LinkProxy> {
    const server = createServer()
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
    return new LinkProxy(server, target, isCut)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** After a cut or its end: what goes on flows, what is cut hears nothing, as where a switch drops every packet. */
  judge(): void {
    for (const { far, from, near } of this.#wires) {
      if (!this.#isCut(from)) continue
      near.unpipe(far)
      far.unpipe(near)
    }
  }

  /** Wires that were cut are found dead by whoever writes to them. */
  heal(): void {
    for (const { far, from, near } of this.#wires) {
      if (this.#isCut(from)) continue
      near.destroy()
      far.destroy()
    }
  }

  close(): void {
    this.#server.close()
    for (const { far, near } of this.#wires) {
      near.destroy()
      far.destroy()
    }
  }

  #accept(near: Socket): void {
    const from = near.remotePort === undefined ? undefined : dialler(near.remotePort)
    near.on("error", () => undefined)
    if (this.#isCut(from)) return void near.pause()
    const far = connect({ host: "127.0.0.1", port: this.#target() })
    far.on("error", () => undefined)
    const wire: Wire = { from, near, far }
    this.#wires.add(wire)
    for (const [one, other] of [[near, far], [far, near]] as const) {
      one.pipe(other)
      one.on("close", () => {
        other.destroy()
        this.#wires.delete(wire)
      })
    }
  }
}

/** The process whose socket has this port on 127.0.0.1. */
const dialler = (port: number): number | undefined => {
  const wanted = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`
  const inode = readFileSync("/proc/net/tcp", "utf8").split("\n").map((line) => line.trim().split(/\s+/)).find((cells) => cells[1] === wanted)?.[9]
  if (inode === undefined) return undefined
  for (const pid of readdirSync("/proc")) {
    if (/^\d+$/.test(pid) && holds(pid, `socket:[${inode}]`)) return Number(pid)
  }
  return undefined
}

const holds = (pid: string, name: string): boolean => {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === name)
  } catch (error) {
    // It has ended meanwhile, or is somebody else's.
    if (["ENOENT", "EACCES", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return false
    throw error
  }
}

const linkOf = (path: string): string | undefined => {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (["ENOENT", "EACCES", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined
    throw error
  }
}
