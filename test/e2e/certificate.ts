/** A self-signed certificate for 127.0.0.1 and localhost, made with node:crypto alone (DER of RFC 5280 by hand). */
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto"

const length = (n: number): Buffer =>
  n < 0x80 ? Buffer.from([n]) : n < 0x100 ? Buffer.from([0x81, n]) : Buffer.from([0x82, n >> 8, n & 0xff])
const der = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([tag]), length(content.length), content])
}
const sequence = (...parts: ReadonlyArray<Uint8Array>): Buffer => der(0x30, ...parts)
const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes)
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, "hex"))
const utcTime = (date: Date): Buffer =>
  der(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, "").slice(2, 14)}Z`, "ascii"))

const ecdsaWithSha256 = sequence(oid("2a8648ce3d040302"))
const nameOf = (commonName: string): Buffer => sequence(der(0x31, sequence(oid("550403"), der(0x0c, Buffer.from(commonName)))))
const extension = (id: string, critical: boolean, value: Buffer): Buffer =>
  sequence(oid(id), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), octets(value))

export interface Certificate {
  readonly cert: string
  readonly key: string
  /** SHA-256 of the certificate as TLS sockets show it: AA:BB:… */
  readonly fingerprint: string
}

export const makeCertificate = (commonName = "ouroboros test"): Certificate => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const spki = publicKey.export({ type: "spki", format: "der" })
  const keyId = createHash("sha1").update(spki.subarray(-65)).digest()
  const dayMs = 86_400_000
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(15)])),
    ecdsaWithSha256,
    nameOf(commonName),
    sequence(utcTime(new Date(Date.now() - dayMs)), utcTime(new Date(Date.now() + 30 * dayMs))),
    nameOf(commonName),
    spki,
    der(0xa3, sequence(
      extension("551d13", true, sequence(der(0x01, Buffer.from([0xff])))),
      // digitalSignature and keyCertSign.
      extension("551d0f", true, der(0x03, Buffer.from([0x02, 0x84]))),
      extension("551d11", false, sequence(
        der(0x87, Buffer.from([127, 0, 0, 1])), der(0x82, Buffer.from("localhost")), der(0x82, Buffer.from("*.localhost"))
      )),
      extension("551d0e", false, octets(keyId)),
      extension("551d23", false, sequence(der(0x80, keyId)))
    ))
  )
  const signature = sign("sha256", body, privateKey)
  const bytes = sequence(body, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature))
  const base64 = bytes.toString("base64").replace(/.{64}/g, "$&\n").trimEnd()
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
    fingerprint: createHash("sha256").update(bytes).digest("hex").toUpperCase().replace(/..(?=.)/g, "$&:")
  }
}
