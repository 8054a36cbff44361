/** httpCeilingServer: what node:http does at best: 1 KiB or 64 MiB for a GET, a PUT's body thrown away. Answers to its parent. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const small = Buffer.alloc(1024, 7)
/** Sent as often as a large answer needs. */
const piece = Buffer.alloc(1024 * 1024, 7)
const largePieces = 64

const server = createServer({ highWaterMark: 256 * 1024 }, (request, response) => {
  if (request.method === "PUT") {
    request.on("data", () => undefined)
    request.on("end", () => response.writeHead(200, ["content-length", "0"]).end())
    return
  }
  if (request.url !== "/large") return void response.writeHead(200, ["content-length", String(small.length)]).end(small)
  response.writeHead(200, ["content-length", String(largePieces * piece.length)])
  let left = largePieces
  const send = (): void => {
    while (left > 0) {
      left -= 1
      if (!response.write(piece)) return void response.once("drain", send)
    }
    response.end()
  }
  send()
})
if (process.send !== undefined) {
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port))
  process.on("message", () => {
    const { system, user } = process.cpuUsage()
    process.send?.(system + user)
  })
  process.once("disconnect", () => process.exit())
}
