/** Tokens, what is asked with them, and who is let in. */
import fc from "fast-check"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { joinTokenMsMax, joinTokensMax } from "../../src/base/clusterLimits.ts"
import { encodePublicIdentity } from "../../src/membership/Identity.ts"
import { askedToJoin, decide, emptyJoinBook, forgetExpired, invite, pendingIn, tokenIn } from "../../src/membership/JoinBook.ts"
import { joinKey, joinTokenText, readJoinToken } from "../../src/membership/JoinToken.ts"
import { MembershipError } from "../../src/membership/MembershipError.ts"
import { type Admitted, type Ask, memberOf, proveAnswer, readAnswer, readAsk, signAsk } from "../../src/membership/Message.ts"
import { mutateBytes } from "../fuzz/Mutation.ts"
import { good, joinAskOf, noise, nowMs, reasonOf, sceneOf } from "./fixtures.ts"

const golden = (name: string): string => readFileSync(new URL(`golden/${name}`, import.meta.url), "utf8").replaceAll(/\s/g, "")
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const scene = sceneOf(1)
const { authority, cluster, pairs } = scene
const [node, other] = [scene.node(2), scene.node(3)]
const token = scene.token(4)
const ask = joinAskOf(scene, node, token)
const asked = signAsk(node, ask, token)
const only = (id: string) => (id === token.id ? token : new MembershipError({ what: "join token", reason: "Unknown", detail: id }))
const read = (bytes: Uint8Array, atMs = nowMs, tokenOf: Parameters<typeof readAsk>[2] = only) => readAsk(pairs, bytes, tokenOf, atMs)
const admitted = (hash: string): Admitted => ({
  _tag: "Admitted", version: 1, cluster, ask: hash, authority: authority.certificate, certificate: scene.certify(node), epoch: 7, sealedAuthority: new Uint8Array(1168),
  members: [memberOf(other.shown, { name: "cellar", addresses: ["10.0.0.1:9444"], sinceEpoch: 1 })], revocations: new Uint8Array(3)
})

describe("join token", () => {
  it("token: as text and back, however a terminal breaks the line", () => {
    const text = joinTokenText(token)
    expect(text).toBe(golden("join-token.v1.txt"))
    for (const typed of [text, ` ${text}\r\n`, `${text.slice(0, 60)}\n  ${text.slice(60)}`]) expect(good(readJoinToken(typed, nowMs))).toEqual(token)
  })

  it("token: any letter wrong, too short, too long, too late: refused, and the error holds nothing of it", () => {
    const text = joinTokenText(token)
    for (let at = 0; at < text.length; at += 3) {
      const wrong = text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1)
      const refused = readJoinToken(wrong, nowMs)
      expect(refused, `letter ${at}`).toBeInstanceOf(MembershipError)
      expect((refused as MembershipError).message).not.toContain(text.slice(40, 60))
    }
    expect(reasonOf(readJoinToken(text.slice(0, -1), nowMs))).toBe("Damaged")
    expect(reasonOf(readJoinToken("A".repeat(1 << 20), nowMs))).toBe("Malformed")
    expect(reasonOf(readJoinToken(text, token.expiresMs + 1))).toBe("Expired")
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), (any) => readJoinToken(any, nowMs) instanceof MembershipError))
  })

  it("token: each use has its own key, bound to cluster, authority and id", () => {
    const keys = (["ask", "answer"] as const).map((use) => hex(joinKey(token, use)))
    const others = [{ ...token, cluster: sceneOf(9).cluster }, { ...token, authority: "0".repeat(64) }, { ...token, id: "0".repeat(32) }, { ...token, secret: new Uint8Array(32) }]
    expect(new Set([...keys, ...others.map((one) => hex(joinKey(one, "ask")))]).size).toBe(6)
  })
})

describe("asks and answers", () => {
  it("asks: golden bytes of what is asked and answered", () => {
    expect(hex(asked)).toBe(golden("join-ask-twin.v1.hex"))
    const { hash } = good(read(asked))
    expect(hex(proveAnswer({ _tag: "Denied", version: 1, cluster, ask: hash, why: "unknown rack" }, token))).toBe(golden("denied.v1.hex"))
    expect(good(read(Buffer.from(golden("join-ask-twin.v1.hex"), "hex"))).ask).toEqual(ask)
  })

  it("asks: who asks to join is who signed, and knows the token", () => {
    expect(good(read(asked))).toMatchObject({ from: node.id, ask: { _tag: "JoinAsk", name: "attic" } })
    expect(reasonOf(read(signAsk(other, ask, token)))).toBe("Unsigned")
    expect(reasonOf(read(signAsk(node, ask, { ...token, secret: noise(1)(32) })))).toBe("Unsigned")
    expect(reasonOf(read(signAsk(node, ask, undefined)))).toBe("Unsigned")
    expect(reasonOf(read(signAsk(node, { ...ask, cluster: sceneOf(9).cluster }, token)))).toBe("Unsigned")
    expect(reasonOf(read(asked, nowMs, () => new MembershipError({ what: "join token", reason: "Expired", detail: "" })))).toBe("Expired")
  })

  it("asks: an old one, or one from a clock that is far off, is refused", () => {
    expect(reasonOf(read(asked, nowMs + 601_000))).toBe("Expired")
    expect(reasonOf(read(asked, nowMs - 601_000))).toBe("Expired")
  })

  it("asks: to leave and to renew need no token, and the identity's own signature", () => {
    const rest = { version: 1, cluster, nonce: noise(5)(32), atMs: nowMs, identity: encodePublicIdentity(node.shown) } as const
    const asks: ReadonlyArray<Ask> = [{ _tag: "LeaveAsk", ...rest, epoch: 3, drained: true, why: "moving" }, { _tag: "RenewAsk", ...rest, serial: "41".repeat(16) }]
    for (const one of asks) {
      expect(good(read(signAsk(node, one, undefined))).ask).toEqual(one)
      expect(reasonOf(read(signAsk(other, one, undefined)))).toBe("Unsigned")
    }
  })

  it("answers: the joiner takes only what answers it, from whoever knows the token, of the authority that it names", () => {
    const { hash } = good(read(asked))
    const answer = admitted(hash)
    const heard = (bytes: Uint8Array, of = token) => readAnswer(pairs, bytes, asked, of, nowMs)
    expect(good(heard(proveAnswer(answer, token)))).toEqual(answer)
    expect(reasonOf(heard(proveAnswer(answer, undefined)))).toBe("Unsigned")
    expect(reasonOf(heard(proveAnswer(answer, { ...token, secret: noise(1)(32) })))).toBe("Unsigned")
    expect(reasonOf(heard(proveAnswer({ ...answer, ask: "0".repeat(64) }, token)))).toBe("Foreign")
    expect(reasonOf(heard(proveAnswer({ ...answer, cluster: sceneOf(9).cluster }, token)))).toBe("Foreign")
    expect(reasonOf(heard(proveAnswer({ ...answer, authority: sceneOf(9).authority.certificate }, token)))).toBe("Foreign")
    expect(reasonOf(heard(proveAnswer({ _tag: "JoinPending", version: 1, cluster, ask: hash, askAgainMs: 5, authority: answer.certificate }, token)))).toBe("Foreign")
  })

  it("asks and answers: any harm is refused, or changes nothing; one key more or one byte written otherwise is no message", () => {
    const proven = proveAnswer(admitted(good(read(asked)).hash), token)
    fc.assert(fc.property(fc.nat(), (seed) => {
      const heard = read(mutateBytes(seededRandom(seed), asked))
      expect(heard instanceof MembershipError ? ask : heard.ask).toEqual(ask)
      const answer = readAnswer(pairs, mutateBytes(seededRandom(seed), proven), asked, token, nowMs)
      expect(answer instanceof MembershipError || answer._tag === "Admitted").toBe(true)
    }), { numRuns: 300 })
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => read(bytes) instanceof MembershipError && readAnswer(pairs, bytes, asked, token, nowMs) instanceof MembershipError))
    expect(reasonOf(read(signAsk(node, { ...ask, more: 1 } as Ask, token)))).toBe("Malformed")
    expect(reasonOf(read(signAsk(node, { ...ask, name: "n".repeat(65) }, token)))).toBe("Malformed")
    expect(reasonOf(read(signAsk(node, { ...ask, version: 2 } as unknown as Ask, token)))).toBe("Malformed")
  })
})

describe("join book", () => {
  const invited = good(invite(emptyJoinBook, token, false, nowMs))
  const enter = (book = invited, by = node, atMs = nowMs) => askedToJoin(book, by.id, joinAskOf(scene, by, token), atMs)

  it("book: a token admits one node, once an operator says so; asking again changes nothing", () => {
    const [pending, standing] = good(enter())
    expect(standing).toBe("Pending")
    expect(pendingIn(pending).map((by) => by.node)).toEqual([node.id])
    expect(good(enter(pending))).toEqual([pending, "Pending"])
    const approved = good(decide(pending, node.id, "Approved"))
    expect(good(enter(approved))).toEqual([approved, "Approved"])
    expect(pendingIn(approved)).toEqual([])
    expect(reasonOf(enter(approved, other))).toBe("Spent")
    expect(reasonOf(enter(pending, other))).toBe("Spent")
  })

  it("book: who was denied stays so; nobody decides about who does not wait", () => {
    const denied = good(decide(good(enter())[0], node.id, "Denied"))
    expect(good(enter(denied))[1]).toBe("Denied")
    expect(reasonOf(decide(denied, node.id, "Approved"))).toBe("Unknown")
    expect(reasonOf(decide(invited, node.id, "Approved"))).toBe("Unknown")
  })

  it("book: approved ahead where the invitation says so", () => {
    expect(good(enter(good(invite(emptyJoinBook, token, true, nowMs))))[1]).toBe("Approved")
  })

  it("book: tokens expire with all that hangs on them, and are bounded in time and number", () => {
    const [pending] = good(enter())
    expect(reasonOf(enter(pending, node, token.expiresMs + 1))).toBe("Expired")
    expect(forgetExpired(pending, token.expiresMs + 1).invited.size).toBe(0)
    expect(reasonOf(tokenIn(emptyJoinBook, token.id, nowMs))).toBe("Unknown")
    expect(reasonOf(invite(emptyJoinBook, scene.token(5, nowMs + joinTokenMsMax + 1), false, nowMs))).toBe("Expired")
    expect(good(invite(invited, token, false, nowMs))).toBe(invited)
    expect(reasonOf(invite(invited, token, true, nowMs))).toBe("Spent")
    let book = emptyJoinBook
    for (let seed = 100; seed < 100 + joinTokensMax; seed += 1) book = good(invite(book, scene.token(seed), false, nowMs))
    expect(reasonOf(invite(book, scene.token(99), false, nowMs))).toBe("Full")
    expect(good(invite(book, scene.token(99, nowMs + 2 * 3_600_000), false, nowMs + 3_600_001)).invited.size).toBe(1)
  })
})
