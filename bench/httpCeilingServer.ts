/** httpCeilingServer: 1 KiB for every request, as node:http gives it; the port goes to the parent. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const body = Buffer.alloc(1024, 7)
const server = createServer((_, response) => void response.writeHead(200, ["content-length", String(body.length)]).end(body))
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port))
process.once("disconnect", () => process.exit())
