/**
 * HttpDate: the four ways in which S3 writes a time, from and to milliseconds since 1970, by arithmetic alone.
 * It sits between headers and XML (texts) and commit times (numbers).
 */

const DAY_MS = 86_400_000
const DAY_NAMES = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
const MONTH_NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

const two = (value: number): string => (value < 10 ? `0${value}` : String(value))

interface Civil {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly weekday: number
  readonly clock: string
  readonly ms: number
}

/** Days since 1970 to the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms"). */
const civilOf = (ms: number): Civil => {
  const days = Math.floor(ms / DAY_MS)
  const rest = ms - days * DAY_MS
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  const seconds = Math.floor(rest / 1000)
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
    weekday: (((days + 4) % 7) + 7) % 7,
    clock: `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`,
    ms: Math.floor(rest % 1000)
  }
}

/** The inverse of civilOf; undefined where no such day or hour exists. */
const millisOfCivil = (
  year: number, month: number, day: number, hour: number, minute: number, second: number
): number | undefined => {
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60) return undefined
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const lengths = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
  if (day > (lengths[month - 1] ?? 0)) return undefined
  const shiftedYear = month <= 2 ? year - 1 : year
  const era = Math.floor(shiftedYear / 400)
  const yearOfEra = shiftedYear - era * 400
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return (era * 146_097 + dayOfEra - 719_468) * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1000
}

const four = (value: number): string => String(value).padStart(4, "0")

let lastSecond = -1
let lastText = ""

/** "Wed, 12 Oct 2009 17:50:30 GMT" (RFC 9110, section 5.6.7). Whole seconds; the last answer is remembered. */
export const formatHttpDate = (ms: number): string => {
  const second = Math.floor(ms / 1000)
  if (second === lastSecond) return lastText
  const civil = civilOf(ms)
  lastSecond = second
  lastText = `${DAY_NAMES[civil.weekday]}, ${two(civil.day)} ${MONTH_NAMES[civil.month - 1]} ${four(civil.year)} ${civil.clock} GMT`
  return lastText
}

/** "2009-10-12T17:50:30.000Z", as S3's XML has it. */
export const formatIso = (ms: number): string => {
  const civil = civilOf(ms)
  return `${four(civil.year)}-${two(civil.month)}-${two(civil.day)}T${civil.clock}.${String(civil.ms).padStart(3, "0")}Z`
}

/** "20091012T175030Z", as SigV4 has it. */
export const formatAmzDate = (ms: number): string => {
  const civil = civilOf(ms)
  return `${four(civil.year)}${two(civil.month)}${two(civil.day)}T${civil.clock.replaceAll(":", "")}Z`
}

const AMZ_DATE = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/
let lastAmzText = ""
let lastAmzMs: number | undefined

/** The last answer is remembered: clients send many requests in a second. */
export const parseAmzDate = (text: string): number | undefined => {
  if (text === lastAmzText) return lastAmzMs
  const match = AMZ_DATE.exec(text)
  lastAmzText = text
  return lastAmzMs = match === null
    ? undefined
    : millisOfCivil(Number(match[1]), Number(match[2]), Number(match[3]), Number(match[4]), Number(match[5]), Number(match[6]))
}

const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*([Zz]|[+-]\d\d:?\d\d)?)?$/
/** ISO 8601: a day, or a day and a time with optional fraction and offset (UTC where none is given). */
export const parseIso = (text: string): number | undefined => {
  const match = ISO.exec(text)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second, fraction, zone] = match
  const base = millisOfCivil(Number(year), Number(month), Number(day), Number(hour ?? 0), Number(minute ?? 0), Number(second ?? 0))
  if (base === undefined) return undefined
  const ms = fraction === undefined ? 0 : Math.floor(Number(`0.${fraction}`) * 1000)
  if (zone === undefined || zone === "Z" || zone === "z") return base + ms
  const digits = zone.replace(":", "")
  const offset = Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3, 5))
  return base + ms - (digits.startsWith("-") ? -1 : 1) * offset * 60_000
}

const IMF = /^(?:[A-Za-z]{3,9},? +)?(\d{1,2})[ -]([A-Za-z]{3})[ -](\d{4}|\d\d) +(\d\d):(\d\d):(\d\d) *(?:GMT|UTC|[+-]0000)?$/
const ASCTIME = /^[A-Za-z]{3} ([A-Za-z]{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})$/

const monthOf = (name: string): number => MONTH_NAMES.findIndex((month) => month.toLowerCase() === name.toLowerCase()) + 1

/** The three forms of RFC 9110 and ISO 8601, which some clients send; undefined for anything else. */
export const parseHttpDate = (text: string): number | undefined => {
  const imf = IMF.exec(text)
  if (imf !== null) {
    const [, day, month, written, hour, minute, second] = imf
    const short = Number(written)
    const year = written?.length === 2 ? short + (short < 70 ? 2000 : 1900) : short
    return millisOfCivil(year, monthOf(month ?? ""), Number(day), Number(hour), Number(minute), Number(second))
  }
  const asctime = ASCTIME.exec(text)
  if (asctime !== null) {
    const [, month, day, hour, minute, second, year] = asctime
    return millisOfCivil(Number(year), monthOf(month ?? ""), Number(day), Number(hour), Number(minute), Number(second))
  }
  return parseIso(text) ?? parseAmzDate(text)
}
