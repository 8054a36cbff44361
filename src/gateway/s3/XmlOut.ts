/** XmlOut: writes S3's XML answers. It sits between the operations (names and texts) and the bytes of a response. */
import { toUtf8 } from "../../base/bytes.ts"

const SPECIAL = /[&<>"\u0000-\u001f\u007f-\u009f\ufffe\uffff]/g
const NAMED: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;" }

/** Control characters become references, as S3 writes them: XML 1.0 has no better way, encoding-type=url has. */
export const escapeXml = (text: string): string =>
  text.replace(SPECIAL, (character) => NAMED[character] ?? `&#x${character.charCodeAt(0).toString(16)};`)

/** `<name>text</name>`; nothing where the text is undefined. */
export const element = (name: string, text: string | number | boolean | undefined): string =>
  text === undefined ? "" : `<${name}>${typeof text === "string" ? escapeXml(text) : text}</${name}>`

/** `<name>…</name>` around XML that is already written. */
export const wrap = (name: string, inner: string): string => `<${name}>${inner}</${name}>`

const HEAD = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
const NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

/** A whole document under S3's namespace. */
export const document = (root: string, inner: string): Uint8Array =>
  toUtf8(`${HEAD}<${root} xmlns="${NAMESPACE}">${inner}</${root}>`)

/** Errors have no namespace. */
export const errorDocument = (
  code: string, message: string, resource: string, requestId: string, hostId: string,
  extra: ReadonlyArray<readonly [string, string]>
): Uint8Array =>
  toUtf8(HEAD + wrap("Error",
    element("Code", code) + element("Message", message) + extra.map(([name, text]) => element(name, text)).join("") +
    element("Resource", resource) + element("RequestId", requestId) + element("HostId", hostId)))
