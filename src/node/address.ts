/** address: HOST:PORT as people write it. */
import type { HostPort } from "./Settings.ts"

export const formatAddress = ({ host, port }: HostPort): string => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`)
