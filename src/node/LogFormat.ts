/**
 * LogFormat: a log event as one line: JSON for machines, words for a terminal. Pure; sits between Effect's loggers and
 * whoever writes lines. Every line passes through `hide` (and so does its cause): no secret is in any of them.
 */
import { Cause, DateTime, type Logger, References } from "effect"
import { redactText } from "../gateway/Redact.ts"

export type LogEvent = Logger.Options<unknown>

/** Words that no line may contain, as they are and percent-encoded. Short ones would tear lines apart and are left. */
const hiddenLengthMin = 8

export class Hidden {
  readonly #words = new Set<string>()

  add(secret: string | undefined): void {
    if (secret === undefined || secret.length < hiddenLengthMin) return
    this.#words.add(secret)
    this.#words.add(encodeURIComponent(secret))
    this.#words.add(JSON.stringify(secret).slice(1, -1))
  }

  readonly hide = (text: string): string => {
    let clean = redactText(text)
    for (const word of this.#words) if (clean.includes(word)) clean = clean.replaceAll(word, "REDACTED")
    return clean
  }
}

const plain = (value: unknown): string | number | boolean =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value
    : value instanceof Error ? value.message
    : typeof value === "bigint" || value === undefined ? String(value)
    : JSON.stringify(value)

const messageOf = ({ message }: LogEvent): string =>
  (Array.isArray(message) ? message as ReadonlyArray<unknown> : [message]).map((part) => String(plain(part))).join(" ")

const causeOf = ({ cause }: LogEvent): string | undefined => (cause.reasons.length === 0 ? undefined : Cause.pretty(cause))

const annotationsOf = ({ fiber }: LogEvent): ReadonlyArray<readonly [string, string | number | boolean]> =>
  Object.entries(fiber.getRef(References.CurrentLogAnnotations)).map(([name, value]) => [name, plain(value)])

const timeOf = ({ date }: LogEvent): string => DateTime.formatIso(DateTime.makeUnsafe(date.getTime()))

/** {"time","level","message", annotations such as "request", "cause"}: one line. */
export const jsonLine = (event: LogEvent, hide: (text: string) => string): string => {
  const cause = causeOf(event)
  // Hidden field by field: a second encoding would give a secret another look.
  const about = annotationsOf(event).map(([name, value]) => [name, typeof value === "string" ? hide(value) : value] as const)
  return JSON.stringify({
    time: timeOf(event),
    level: event.logLevel.toLowerCase(),
    message: hide(messageOf(event)),
    ...Object.fromEntries(about),
    ...(cause === undefined ? {} : { cause: hide(cause) })
  })
}

const colours: Readonly<Record<string, string>> = {
  Fatal: "\u001b[1;31m", Error: "\u001b[31m", Warn: "\u001b[33m", Info: "\u001b[32m", Debug: "\u001b[36m", Trace: "\u001b[90m"
}
const dim = "\u001b[2m"
const end = "\u001b[0m"

/** What a client sent must not steer the terminal. */
const visible = (text: string): string =>
  // oxlint-disable-next-line no-control-regex
  text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`)

/** 11:15:02.123 WARN  message  request=4F… operation=GetObject; a cause follows, indented. */
export const prettyLine = (event: LogEvent, hide: (text: string) => string, isColoured: boolean): string => {
  const paint = (colour: string, text: string): string => (isColoured ? `${colour}${text}${end}` : text)
  const about = annotationsOf(event).map(([name, value]) => `${name}=${value}`).join(" ")
  const cause = causeOf(event)
  const words = visible(hide(messageOf(event))).replaceAll("\n", " ")
  return [
    paint(dim, timeOf(event).slice(11, 23)),
    paint(colours[event.logLevel] ?? "", event.logLevel.toUpperCase().padEnd(5)),
    `${words}${about === "" ? "" : `  ${paint(dim, visible(hide(about)).replaceAll("\n", " "))}`}`
  ].join(" ") + (cause === undefined ? "" : `\n  ${visible(hide(cause)).replaceAll("\n", "\n  ")}`)
}
