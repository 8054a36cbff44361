/**
 * Ambient: traps over everything by which the world outside could reach into a simulated one: clocks, chance, timers, files
 * and sockets. Set while a world runs and taken away after it; what is met throws, and says where it was.
 */
import childProcess from "node:child_process"
import crypto from "node:crypto"
import dgram from "node:dgram"
import dns from "node:dns"
import fs from "node:fs"
import http from "node:http"
import https from "node:https"
import { syncBuiltinESMExports } from "node:module"
import net from "node:net"
import tls from "node:tls"

export class AmbientReached extends Error {
  override readonly name = "AmbientReached"
}

type Holder = Record<string, unknown>

const trap = (what: string) => {
  const reached = (): never => {
    throw new AmbientReached(`${what} was reached while a world runs: only ports may`)
  }
  // process.hrtime is a function that has another.
  return Object.assign(reached, { bigint: reached })
}

/** Kernels of node:crypto that take nothing from outside need no trap. */
const ofCrypto = ["randomBytes", "randomInt", "randomUUID", "randomFill", "randomFillSync", "generateKeyPair", "generateKeyPairSync", "generateKey", "generateKeySync"]
const ofTimers = ["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "fetch"]

const functionsOf = (module: object): ReadonlyArray<string> =>
  Object.entries(module).filter(([name, value]) => typeof value === "function" && /^[a-z]/.test(name)).map(([name]) => name)

const places = (): ReadonlyArray<readonly [holder: Holder, what: string, names: ReadonlyArray<string>]> => [
  [Date as unknown as Holder, "Date", ["now"]],
  [performance as unknown as Holder, "performance", ["now"]],
  [globalThis, "globalThis", ofTimers],
  [globalThis.crypto as unknown as Holder, "crypto", ["getRandomValues", "randomUUID"]],
  [process as unknown as Holder, "process", ["hrtime", "nextTick"]],
  [crypto, "node:crypto", ofCrypto],
  [fs.promises, "node:fs/promises", functionsOf(fs.promises)],
  ...[fs, net, tls, dgram, dns, http, https, childProcess].map((module, index) =>
    [module as unknown as Holder, `node:${["fs", "net", "tls", "dgram", "dns", "http", "https", "child_process"][index]}`, functionsOf(module)] as const)
]

/**
 * Effect gives a function, or bytes that were given away, a hash by chance when it compares the reasons of two failures: it says
 * in which bucket to look, and nothing else depends on it. The same one for all of them does as well.
 */
const chance = (): number => (new Error().stack?.split("\n")[2]?.includes("/effect/dist/Hash.js") === true ? 0.5 : trap("Math.random")())

/** `new Date()` and `Date()` read the clock; a date that is named does not. */
const trappedDate = (real: DateConstructor): DateConstructor =>
  new Proxy(real, {
    construct: (target, given: Array<unknown>, made): Date =>
      given.length === 0 ? trap("new Date()")() : Reflect.construct(target, given, made) as Date,
    apply: () => trap("Date()")()
  })

/** Runs it, which takes no turn of the event loop, under all the traps. */
export const underTraps = <A>(run: () => A): A => {
  const undo: Array<() => void> = []
  const put = (holder: Holder, name: string, what: string, value: unknown): void => {
    const before = Object.getOwnPropertyDescriptor(holder, name)
    const inherited = before === undefined
    if (!inherited && !(before.configurable === true || before.writable === true)) throw new Error(`${what} cannot be trapped`)
    Object.defineProperty(holder, name, { value, configurable: true, writable: true, enumerable: before?.enumerable ?? true })
    undo.push(() => {
      if (inherited) Reflect.deleteProperty(holder, name)
      else Object.defineProperty(holder, name, before)
    })
  }
  try {
    for (const [holder, what, names] of places()) for (const name of names) put(holder, name, `${what}.${name}`, trap(`${what}.${name}`))
    put(Math as unknown as Holder, "random", "Math.random", chance)
    put(globalThis, "Date", "Date", trappedDate(Date))
    syncBuiltinESMExports()
    return run()
  } finally {
    for (const one of undo.reverse()) one()
    syncBuiltinESMExports()
  }
}
