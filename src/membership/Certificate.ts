/**
 * Certificate: X.509 (RFC 5280) as this cluster's authority makes it, and no other shape: ML-DSA-65 (RFC 9881), the node's id as its
 * common name, its agreement key beside its signing key. Between Authority, which signs, and TLS, which validates chains of it.
 *
 * Reading is the inverse of writing: what is read is written again, and must come to the same bytes. So nothing in a
 * certificate goes unread.
 */
import { DateTime, Option } from "effect"
import { assert } from "../base/assert.ts"
import { concatBytes, copyOf, emptyBytes, equalBytes, fromHex, fromUtf8, toBase64, toHex, toUtf8 } from "../base/bytes.ts"
import { certificateBytesMax } from "../base/clusterLimits.ts"
import { hashBytes } from "../base/hash.ts"
import * as Der from "./Der.ts"
import { type ClusterId, isClusterId, isNodeId, type NodeId, nodeIdOf } from "./Identity.ts"
import { type MembershipError, refusalOf } from "./MembershipError.ts"

export interface CertificateFields {
  readonly cluster: ClusterId
  /** Of `serialOf`: 32 hex digits. */
  readonly serial: string
  /** Undefined: the authority itself. */
  readonly node: NodeId | undefined
  /** Of the subject. */
  readonly signing: Uint8Array
  /** Of a node; nothing of an authority. */
  readonly agreement: Uint8Array
  /** Which of its authority's keys signs it: `keyIdOf`. */
  readonly issuerKeyId: Uint8Array
  /** Whole seconds; before 2050. */
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

export interface Certificate extends CertificateFields {
  readonly bytes: Uint8Array
  /** What is signed. */
  readonly body: Uint8Array
  readonly signature: Uint8Array
}

export const serialBytes = 16
/** The first byte lies in 0x40 to 0x7f: DER's integers have a sign, and no zeros in front. */
const isSerial = (first: number): boolean => first >> 6 === 1
/** A serial of 16 random bytes. */
export const serialOf = (random: Uint8Array): string => {
  assert(random.length === serialBytes, `a serial has ${serialBytes} bytes`)
  return toHex(Uint8Array.from(random, (byte, index) => (index === 0 ? (byte & 0x3f) | 0x40 : byte)))
}
const refuse = refusalOf("certificate")

/** ML-DSA-65, without parameters (RFC 9881, section 2). */
const algorithm = Der.sequence(Der.oid("2.16.840.1.101.3.4.3.18"))
const commonName = Der.oid("2.5.4.3")
const subjectKeyId = Der.oid("2.5.29.14")
const keyUsage = Der.oid("2.5.29.15")
const alternativeName = Der.oid("2.5.29.17")
const basicConstraints = Der.oid("2.5.29.19")
const authorityKeyId = Der.oid("2.5.29.35")
const extendedUsage = Der.oid("2.5.29.37")
/** Of our own: the UUID 7a1c0a5e-6f4d-4b7e-9d55-0b0205ae20ef as an arc (X.667). */
const agreementKey = Der.oid("2.25.162311410103788304416807865843050225903")
const serverAndClient = Der.sequence(Der.oid("1.3.6.1.5.5.7.3.1"), Der.oid("1.3.6.1.5.5.7.3.2"))

/** The name that TLS asks for, and checks: two labels, since one has 63 letters at most. */
export const dnsNameOf = (id: NodeId): string => `${id.slice(0, 32)}.${id.slice(32)}.node.ouroboros.internal`

const issuerNameOf = (cluster: ClusterId): string => `ouroboros ${cluster}`
const nameOf = (value: string): Uint8Array => Der.sequence(Der.set(Der.sequence(commonName, Der.text(value))))
/** RFC 5280, 4.2.1.2: any name of a key will do. 20 bytes. */
export const keyIdOf = (key: Uint8Array): Uint8Array => hashBytes(key).subarray(0, 20)

/** UTCTime: until 2049. */
const timeOf = (ms: number): Uint8Array => {
  const iso = DateTime.formatIso(DateTime.makeUnsafe(ms))
  assert(/^20[0-4]/.test(iso), `a certificate's times lie between 2000 and 2049, not at ${iso}`)
  return Der.tagged(0x17, toUtf8(`${iso.slice(2, 19).replaceAll(/[-T:]/g, "")}Z`))
}

const msOf = (item: Der.Item | undefined): number | undefined => {
  const parts = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(fromUtf8(item?.content ?? emptyBytes) ?? "")
  if (parts === null) return undefined
  const [, year, month, day, hour, minute, second] = parts
  return Option.match(DateTime.make(`20${year}-${month}-${day}T${hour}:${minute}:${second}Z`), { onNone: () => undefined, onSome: DateTime.toEpochMillis })
}

const extension = (id: Uint8Array, isCritical: boolean, value: Uint8Array): Uint8Array =>
  isCritical ? Der.sequence(id, Der.yes, Der.octets(value)) : Der.sequence(id, Der.octets(value))

const extensionsOf = ({ agreement, issuerKeyId, node, signing }: CertificateFields): Uint8Array => {
  const ids = [
    extension(subjectKeyId, false, Der.octets(keyIdOf(signing))),
    extension(authorityKeyId, false, Der.sequence(Der.tagged(0x80, issuerKeyId)))
  ]
  if (node === undefined) {
    // May sign certificates of nodes, and none of further authorities.
    const constraints = Der.sequence(Der.yes, Der.integer(Uint8Array.of(0)))
    return Der.sequence(extension(basicConstraints, true, constraints), extension(keyUsage, true, Der.bits(Uint8Array.of(0b0000_0110), 1)), ...ids)
  }
  return Der.sequence(
    extension(basicConstraints, true, Der.sequence()),
    extension(keyUsage, true, Der.bits(Uint8Array.of(0b1000_0000), 7)),
    extension(extendedUsage, false, serverAndClient),
    ...ids,
    extension(alternativeName, false, Der.sequence(Der.tagged(0x82, toUtf8(dnsNameOf(node))))),
    extension(agreementKey, false, Der.octets(agreement))
  )
}

/** What the authority signs. */
export const certificateBody = (fields: CertificateFields): Uint8Array =>
  Der.sequence(
    Der.tagged(0xa0, Der.integer(Uint8Array.of(2))),
    Der.integer(fromHex(fields.serial)),
    algorithm,
    nameOf(issuerNameOf(fields.cluster)),
    Der.sequence(timeOf(fields.notBeforeMs), timeOf(fields.notAfterMs)),
    nameOf(fields.node ?? issuerNameOf(fields.cluster)),
    Der.sequence(algorithm, Der.bits(fields.signing)),
    Der.tagged(0xa3, extensionsOf(fields))
  )

export const certificateOf = (body: Uint8Array, signature: Uint8Array): Uint8Array => copyOf(Der.sequence(body, algorithm, Der.bits(signature)))

/** The fields that `bytes` say, and nothing of whether they are true: `checkCertificate` of Authority does. */
export const readCertificate = (bytes: Uint8Array): Certificate | MembershipError => {
  if (bytes.length > certificateBytesMax) return refuse("Malformed", `${bytes.length} bytes, at most ${certificateBytesMax}`)
  const outer = Der.insideOf(bytes, Der.sequenceTag)
  const body = outer?.[0]?.whole
  const parts = Der.insideOf(body, Der.sequenceTag)
  const fields = parts === undefined ? undefined : fieldsOf(parts)
  if (body === undefined || fields === undefined) return refuse("Malformed", "these bytes are no certificate of an ouroboros cluster")
  const signature = Der.bitsOf(outer?.[2])
  if (!equalBytes(certificateOf(certificateBody(fields), signature), bytes)) return refuse("Malformed", "the certificate has parts that an ouroboros cluster's have not")
  if (fields.node !== undefined && nodeIdOf(fields) !== fields.node) return refuse("Foreign", `the keys are not those of node ${fields.node}`)
  return { ...fields, bytes: copyOf(bytes), body: copyOf(body), signature: copyOf(signature) }
}

const fieldsOf = (parts: ReadonlyArray<Der.Item>): CertificateFields | undefined => {
  const [, serial, , issuer, validity, subject, key, extensions] = parts
  const times = Der.insideOf(validity?.whole, Der.sequenceTag)
  const [notBeforeMs, notAfterMs] = [msOf(times?.[0]), msOf(times?.[1])]
  const [issuerName, subjectName] = [commonNameOf(issuer), commonNameOf(subject)]
  const cluster = issuerName.slice(issuerName.lastIndexOf(" ") + 1)
  const signing = Der.bitsOf(Der.insideOf(key?.whole, Der.sequenceTag)?.[1])
  const isAuthority = issuerName === subjectName
  if (!isClusterId(cluster) || (!isAuthority && !isNodeId(subjectName)) || notBeforeMs === undefined || notAfterMs === undefined) return undefined
  if (signing.length !== signingBytes || serial?.content.length !== serialBytes || !isSerial(serial.content[0]!)) return undefined
  const added = Der.insideOf(extensions?.content, Der.sequenceTag) ?? []
  const agreement = isAuthority ? emptyBytes : Der.octetsOf(valueOf(added.at(-1)))
  const issuerKeyId = Der.insideOf(valueOf(added.at(isAuthority ? -1 : -3))?.whole, Der.sequenceTag)?.[0]?.content
  if ((!isAuthority && agreement.length !== agreementBytes) || issuerKeyId === undefined) return undefined
  return {
    cluster, serial: toHex(serial.content), node: isAuthority ? undefined : subjectName as NodeId,
    signing: copyOf(signing), agreement: copyOf(agreement), issuerKeyId: copyOf(issuerKeyId), notBeforeMs, notAfterMs
  }
}

const signingBytes = 1952
const agreementBytes = 1216

const commonNameOf = (name: Der.Item | undefined): string => {
  const attribute = Der.insideOf(Der.insideOf(name?.whole, Der.sequenceTag)?.[0]?.whole, Der.setTag)?.[0]
  return Der.textOf(Der.insideOf(attribute?.whole, Der.sequenceTag)?.[1])
}

/** What is in an extension's octets. */
const valueOf = (extension: Der.Item | undefined): Der.Item | undefined =>
  Der.itemsOf(Der.octetsOf(Der.insideOf(extension?.whole, Der.sequenceTag)?.at(-1)))?.[0]

const pem = (label: string, bytes: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${toBase64(bytes).replaceAll(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`

/** As TLS wants it. */
export const certificatePem = (bytes: Uint8Array): string => pem("CERTIFICATE", bytes)

/** PKCS #8 with the seed alone (RFC 9881, section 6), as TLS wants it. A secret: for memory, never for a disk. */
export const signingKeyPem = (seed: Uint8Array): string => {
  assert(seed.length === 32, "an ML-DSA seed has 32 bytes")
  return pem("PRIVATE KEY", Der.sequence(Der.integer(Uint8Array.of(0)), algorithm, Der.octets(concatBytes([Uint8Array.of(0x80, 32), seed]))))
}
