/**
 * Redact: text without what lets its reader act as somebody else: signatures, authorization headers, session tokens.
 * Sits between requests and the log; the log's own formatter applies it once more to every line.
 */

const hidden = "REDACTED"

/** Query parameters that are secrets, or carry one: those of presigned URLs, versions 4 and 2. */
const SECRET_QUERY = /([?&](?:X-Amz-Signature|X-Amz-Security-Token|X-Amz-Credential|Signature|AWSAccessKeyId)=)[^&\s"'#]*/gi

/** A request's target with the values of secret parameters replaced. Encoded spellings of a name hide its value, too. */
export const redactTarget = (target: string): string => {
  const mark = target.indexOf("?")
  if (mark < 0) return target
  const pairs = target.slice(mark + 1).split("&").map((pair) => {
    const at = pair.indexOf("=")
    return at < 0 || !isSecretName(pair.slice(0, at)) ? pair : `${pair.slice(0, at)}=${hidden}`
  })
  return `${target.slice(0, mark)}?${pairs.join("&")}`
}

const isSecretName = (raw: string): boolean => {
  const name = raw.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))).toLowerCase()
  return /^(x-amz-(signature|security-token|credential)|signature|awsaccesskeyid)$/.test(name)
}

/** Any text: authorization values, signatures of presigned URLs and of SigV4 headers. */
export const redactText = (text: string): string =>
  text.replace(SECRET_QUERY, `$1${hidden}`)
    .replace(/\b(Signature=)[0-9a-fA-F]{16,}/g, `$1${hidden}`)
    .replace(/\b(Basic|Bearer)\s+[A-Za-z0-9+/=._~-]{8,}/g, `$1 ${hidden}`)
