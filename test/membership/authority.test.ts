/** Certificates: what the authority signs, who is refused, and what OpenSSL makes of the same bytes. */
import { X509Certificate } from "node:crypto"
import fc from "fast-check"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { service } from "../../src/adapters/NodeKeyPairs.ts"
import { certificateMs } from "../../src/base/clusterLimits.ts"
import { authorityHashOf, checkAuthority, checkCertificate, createAuthority, isRenewalDue, issueCertificate, openAuthority, sealAuthorityFor } from "../../src/membership/Authority.ts"
import { certificatePem, dnsNameOf, readCertificate, serialOf } from "../../src/membership/Certificate.ts"
import { MembershipError } from "../../src/membership/MembershipError.ts"
import { noRevocations, readRevocations, revoke, signRevocations } from "../../src/membership/Revocations.ts"
import { mutateBytes } from "../fuzz/Mutation.ts"
import { dayMs, good, noise, nowMs, reasonOf, sceneOf, type Scene } from "./fixtures.ts"

const golden = (name: string): string => readFileSync(new URL(`golden/${name}`, import.meta.url), "utf8").replaceAll(/\s/g, "")
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const check = ({ authority, pairs }: Scene, bytes: Uint8Array, atMs = nowMs, revoked = noRevocations(authority.cluster)) =>
  checkCertificate(pairs, good(checkAuthority(pairs, authority.certificate, nowMs)), bytes, atMs, revoked)

const real = sceneOf(1, service)
const twin = sceneOf(1)

describe("authority", () => {
  it("authority: a node's certificate says who it is, both its keys, and for how long", () => {
    const node = real.node(2)
    const certificate = good(check(real, real.certify(node)))
    expect(certificate).toMatchObject({ node: node.id, cluster: real.cluster, ...node.shown, notBeforeMs: nowMs - 600_000, notAfterMs: nowMs + certificateMs })
    expect(isRenewalDue(certificate, nowMs)).toBe(false)
    expect(isRenewalDue(certificate, nowMs + certificateMs - 29 * dayMs)).toBe(true)
  })

  it("authority: OpenSSL reads and verifies the same certificate, and finds in it what we wrote", () => {
    const node = real.node(2)
    const bytes = real.certify(node)
    const [leaf, root] = [new X509Certificate(certificatePem(bytes)), new X509Certificate(certificatePem(real.authority.certificate))]
    expect(leaf.raw).toEqual(Buffer.from(bytes))
    expect(leaf.verify(root.publicKey) && root.verify(root.publicKey) && leaf.checkIssued(root)).toBe(true)
    expect([leaf.ca, root.ca]).toEqual([false, true])
    expect([leaf.subject, leaf.issuer]).toEqual([`CN=${node.id}`, `CN=ouroboros ${real.cluster}`])
    expect(leaf.checkHost(dnsNameOf(node.id))).toBe(dnsNameOf(node.id))
    expect(leaf.checkHost(dnsNameOf(real.node(3).id))).toBeUndefined()
    expect([leaf.validFromDate.getTime(), leaf.validToDate.getTime()]).toEqual([nowMs - 600_000, nowMs + certificateMs])
    expect(leaf.publicKey.export({ format: "raw-public" })).toEqual(Buffer.from(node.shown.signing))
    expect(leaf.verify(new X509Certificate(certificatePem(sceneOf(9, service).authority.certificate)).publicKey)).toBe(false)
  })

  it("authority: golden certificates of both kinds are read and checked, and the twin's are written today as then", () => {
    expect(hex(twin.authority.certificate)).toBe(golden("authority-twin.v1.hex"))
    expect(hex(twin.certify(twin.node(2)))).toBe(golden("certificate-twin.v1.hex"))
    const [authority, node] = ["authority.v1.hex", "certificate.v1.hex"].map((name) => Buffer.from(golden(name), "hex")) as [Buffer, Buffer]
    const root = good(checkAuthority(service, authority, nowMs))
    expect(good(checkCertificate(service, root, node, nowMs, undefined)).node).toBe(real.node(2).id)
    expect(authorityHashOf(authority)).toBe(golden("authority-hash.v1.txt"))
  })

  it("authority: expired, not yet good, of another cluster, self-signed, taken back: each is refused by its name", () => {
    const node = twin.node(2)
    const bytes = twin.certify(node)
    expect(reasonOf(check(twin, bytes, nowMs + certificateMs + 1000))).toBe("Expired")
    expect(reasonOf(check(twin, bytes, nowMs - 700_000))).toBe("NotYet")
    expect(reasonOf(check(twin, sceneOf(4).certify(node)))).toBe("Foreign")
    expect(reasonOf(check(twin, twin.authority.certificate))).toBe("Foreign")
    // Of a name that it made up: its own authority for the same cluster.
    const impostor = createAuthority(twin.pairs, twin.cluster, noise(66)(32), { serial: noise(6)(16), nowMs })
    expect(reasonOf(check(twin, issueCertificate(impostor, node.shown, { serial: noise(7)(16), nowMs })))).toBe("Unsigned")
    const list = good(revoke(noRevocations(twin.cluster), good(check(twin, bytes)), nowMs))
    expect(reasonOf(check(twin, bytes, nowMs, list))).toBe("Revoked")
    expect(good(check(twin, twin.certify(node), nowMs, list)).node).toBe(node.id)
  })

  it("authority: no certificate of a node outlives its authority's, nor signs another", () => {
    const late = nowMs + 20 * 365 * dayMs - dayMs
    const bytes = twin.certify(twin.node(2), certificateMs, late)
    expect(good(check(twin, bytes, late)).notAfterMs).toBe(nowMs + 20 * 365 * dayMs)
    const asIssuer = good(check(twin, twin.certify(twin.node(2))))
    expect(reasonOf(checkCertificate(twin.pairs, asIssuer, twin.certify(twin.node(3)), nowMs, undefined))).toBe("Unsigned")
    expect(reasonOf(checkAuthority(twin.pairs, twin.certify(twin.node(2)), nowMs))).toBe("Foreign")
  })

  it("authority: the agreement key in a certificate cannot be another's: the id is of both keys", () => {
    const [node, other] = [twin.node(2), twin.node(3)]
    const mixed = { ...node.shown, agreement: other.shown.agreement }
    const bytes = Buffer.from(issueCertificate(twin.authority, mixed, { serial: noise(8)(16), nowMs })).toString("latin1")
    const [wrong, right] = [good(check(twin, issueCertificate(twin.authority, mixed, { serial: noise(8)(16), nowMs }))).node!, node.id]
    const renamed = bytes.replaceAll(wrong, right).replaceAll(dnsNameOf(wrong), dnsNameOf(right))
    expect(reasonOf(readCertificate(Buffer.from(renamed, "latin1")))).toBe("Foreign")
  })

  it("authority: what no signature covers has one form too: another algorithm beside the signature, or one thing more, is no certificate", () => {
    const bytes = Buffer.from(twin.certify(twin.node(2)))
    const beforeSignature = bytes.length - (4 + 1 + 3309)
    const otherAlgorithm = Buffer.from(bytes)
    otherAlgorithm[beforeSignature - 1]! ^= 1
    expect(reasonOf(check(twin, otherAlgorithm))).toBe("Malformed")
    const more = Buffer.concat([bytes, Buffer.from([5, 0])])
    more.writeUInt16BE(more.length - 4, 2)
    expect(reasonOf(check(twin, more))).toBe("Malformed")
  })

  it("authority: any harm to a certificate is refused, never thrown at, and never another certificate", () => {
    const bytes = twin.certify(twin.node(2))
    fc.assert(fc.property(fc.nat(), (seed) => {
      const harmed = mutateBytes(seededRandom(seed), bytes)
      const outcome = check(twin, harmed)
      expect(outcome instanceof MembershipError || Buffer.compare(harmed, bytes) === 0).toBe(true)
    }), { numRuns: 400 })
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (other) => check(twin, other) instanceof MembershipError), { numRuns: 200 })
    expect(reasonOf(check(twin, new Uint8Array(20_000)))).toBe("Malformed")
  })

  it("authority: its key is sealed for one member, who opens it; nobody else does, and not for another cluster", () => {
    const [member, other] = [real.node(2), real.node(3)]
    const sealed = good(sealAuthorityFor(service, real.cluster, real.seed, member.shown))
    const opened = good(openAuthority(service, real.authority.certificate, real.cluster, sealed, member))
    const issued = issueCertificate(opened, other.shown, { serial: noise(9)(16), nowMs })
    expect(good(check(real, issued)).node).toBe(other.id)
    expect(reasonOf(openAuthority(service, real.authority.certificate, real.cluster, sealed, other))).toBe("Foreign")
    expect(reasonOf(openAuthority(service, real.authority.certificate, sceneOf(9).cluster, sealed, member))).toBe("Foreign")
    expect(reasonOf(openAuthority(service, sceneOf(9, service).authority.certificate, real.cluster, sealed, member))).toBe("Foreign")
    expect(reasonOf(openAuthority(service, real.authority.certificate, real.cluster, sealed.subarray(1), member))).toBe("Malformed")
    for (const at of [0, 1100, 1121, 1160]) {
      expect(openAuthority(service, real.authority.certificate, real.cluster, Uint8Array.from(sealed, (byte, index) => (index === at ? byte ^ 1 : byte)), member)).toBeInstanceOf(MembershipError)
    }
    expect(Buffer.from(sealed).includes(real.seed)).toBe(false)
  })

  it("authority: serials are positive and keep their length, whatever is drawn", () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (random) => /^[4-7][0-9a-f]{31}$/.test(serialOf(random))))
  })
})

describe("revocations", () => {
  const { authority, pairs } = twin
  const root = good(checkAuthority(pairs, authority.certificate, nowMs))
  const listOf = (count: number) =>
    Array.from({ length: count }, (_, index) => good(check(twin, twin.certify(twin.node(index + 2))))).reduce((list, certificate) => good(revoke(list, certificate, nowMs)), noRevocations(twin.cluster))

  it("revocations: signed, read, in their order: an older list never replaces a newer one", () => {
    const [one, two] = [listOf(1), listOf(2)]
    expect(good(readRevocations(pairs, root, signRevocations(authority, two), one))).toEqual(two)
    expect(good(readRevocations(pairs, root, signRevocations(authority, two), two))).toEqual(two)
    expect(reasonOf(readRevocations(pairs, root, signRevocations(authority, one), two))).toBe("Expired")
    expect(reasonOf(readRevocations(pairs, root, signRevocations(sceneOf(4).authority, two), one))).toBe("Unsigned")
    expect(reasonOf(readRevocations(pairs, root, signRevocations(authority, { ...two, cluster: sceneOf(4).cluster }), one))).toBe("Foreign")
  })

  it("revocations: twice is once, and what has expired by itself is forgotten with the next", () => {
    const certificate = good(check(twin, twin.certify(twin.node(2))))
    const list = good(revoke(noRevocations(twin.cluster), certificate, nowMs))
    expect(good(revoke(list, certificate, nowMs))).toBe(list)
    const later = good(revoke(list, { ...certificate, serial: "41".repeat(16), notAfterMs: nowMs + 2 * certificateMs }, nowMs + certificateMs + 1))
    expect(later).toMatchObject({ number: 2, entries: [{ serial: "41".repeat(16) }] })
    expect(reasonOf(revoke(list, { ...certificate, node: undefined }, nowMs))).toBe("Foreign")
  })

  it("revocations: any bytes: an error, or the list that was signed", () => {
    const list = listOf(2)
    const bytes = signRevocations(authority, list)
    fc.assert(fc.property(fc.nat(), (seed) => {
      const read = readRevocations(pairs, root, mutateBytes(seededRandom(seed), bytes), noRevocations(twin.cluster))
      expect(read instanceof MembershipError ? list : read).toEqual(list)
    }), { numRuns: 300 })
  })
})
