/**
 * XmlIn: reads the XML bodies of requests. It sits between a bounded body and the operations, and takes no DOCTYPE,
 * no entity but XML's own five, and no attribute.
 */
import { XMLParser, XMLValidator } from "fast-xml-parser"
import { fromUtf8 } from "../../base/bytes.ts"
import { xmlDepthMax } from "../../base/limits.ts"
import { s3Error, type S3Error } from "./S3Error.ts"

/** An element: its text, and its children by name in order of appearance. */
export interface XmlNode {
  readonly text: string
  readonly children: ReadonlyMap<string, ReadonlyArray<XmlNode>>
}

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: false,
  removeNSPrefix: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  maxNestedTags: xmlDepthMax
})

const REFERENCE = /&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6}));|&/g
const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: "\"", apos: "'" }

/** The text with its references resolved; undefined where one is not XML's own. */
const unescapeXml = (text: string): string | undefined => {
  if (!text.includes("&")) return text
  let valid = true
  const result = text.replace(REFERENCE, (_, named: string | undefined, decimal: string | undefined, hex: string | undefined) => {
    if (named !== undefined) return NAMED[named] ?? ""
    const code = decimal !== undefined ? Number(decimal) : hex !== undefined ? Number.parseInt(hex, 16) : -1
    if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      valid = false
      return ""
    }
    return String.fromCodePoint(code)
  })
  return valid ? result : undefined
}

const nodeOf = (value: unknown): XmlNode | undefined => {
  if (typeof value === "string") {
    const text = unescapeXml(value)
    return text === undefined ? undefined : { text, children: new Map() }
  }
  if (typeof value !== "object" || value === null) return undefined
  const children = new Map<string, ReadonlyArray<XmlNode>>()
  let text = ""
  for (const [name, child] of Object.entries(value)) {
    if (name === "#text") {
      text = unescapeXml(String(child)) ?? ""
      continue
    }
    const nodes: Array<XmlNode> = []
    for (const one of Array.isArray(child) ? child : [child]) {
      const node = nodeOf(one)
      if (node === undefined) return undefined
      nodes.push(node)
    }
    children.set(name, nodes)
  }
  return { text, children }
}

const parse = (text: string): unknown => {
  try {
    const parsed: unknown = parser.parse(text)
    return XMLValidator.validate(text) === true ? parsed : undefined
  } catch (error) {
    // The parser throws plain Errors for whatever it refuses; anything else is our own bug.
    if (error instanceof Error) return undefined
    throw error
  }
}

/** The root element, which must have one of the given names. S3Error MalformedXML for anything else. */
export const parseXml = (bytes: Uint8Array, ...roots: ReadonlyArray<string>): XmlNode | S3Error => {
  const raw = fromUtf8(bytes)
  const text = raw?.startsWith("\uFEFF") ? raw.slice(1) : raw
  if (text === undefined || text.includes("<!DOCTYPE") || text.includes("<!ENTITY")) return s3Error("MalformedXML")
  const parsed = parse(text)
  const document = parsed === undefined ? undefined : nodeOf(parsed)
  if (document === undefined || document.children.size !== 1) return s3Error("MalformedXML")
  for (const root of roots) {
    const nodes = document.children.get(root)
    if (nodes?.length === 1 && nodes[0] !== undefined) return nodes[0]
  }
  return s3Error("MalformedXML", `Expected one of: ${roots.join(", ")}`)
}

export const childrenOf = (node: XmlNode, name: string): ReadonlyArray<XmlNode> => node.children.get(name) ?? []

/** Text of the first child of that name. */
export const textOf = (node: XmlNode, name: string): string | undefined => node.children.get(name)?.[0]?.text
