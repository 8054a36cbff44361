import { describe, expect, test } from "vitest"
import { formatSpan, pendingLines, statusLines } from "../../src/cli/ClusterView.ts"
import { fitting } from "../../src/cli/Frames.ts"
import { status } from "../gateway/clusterTwin.ts"

const nowMs = Date.UTC(2026, 10, 22, 7)

describe("a cluster in lines", () => {
  test("each member with its role, its standing, its clock and its certificate; names are no commands to a terminal", () => {
    expect(statusLines({ ...status, warnings: ["dairy is down"] }, nowMs)).toEqual([
      "cluster  cccccccccccc, epoch 3",
      "leader   attic (aaaaaaaaaaaa), term 7",
      "quorum   yes, 1 of 2 voters are there",
      "log      committed 12, applied here 12",
      "",
      "NODE          NAME      ROLE     STANDING                    CLOCK   CERTIFICATE  ADDRESSES",
      "aaaaaaaaaaaa  attic     leader   answers                             89 d         127.0.0.1:9100",
      "dddddddddddd  dairy     voter    DOWN for 10 s, silent 12 s  -1.5 s  89 d         127.0.0.1:9102",
      "eeeeeeeeeeee  e\\x1b[2J  joining  up for 1 h                  +40 ms  EXPIRED      127.0.0.1:9103",
      "",
      "1 waits for approval: ouroboros cluster pending",
      "",
      "warning: dairy is down"
    ])
  })

  test("no quorum and no leader are said in words", () => {
    const lines = statusLines({ ...status, quorum: false, leader: null, pending: 0 }, nowMs)
    expect(lines[1]).toBe("leader   none known, term 7")
    expect(lines[2]).toBe("quorum   NO, 1 of 2 voters are there; nothing is read or written without a majority")
    expect(lines.join("\n")).not.toContain("approval")
    const begins = { ...status, quorum: false, members: status.members.map((member) => ({ ...member, role: "joining" as const })) }
    expect(statusLines(begins, nowMs)[2]).toBe("quorum   NO: this node does not know yet who votes")
  })

  test("who waits, since when", () => {
    expect(pendingLines([], nowMs)).toEqual(["nobody waits for approval"])
    expect(pendingLines([{ node: "b".repeat(64), name: "barn", addresses: ["h:1", "h:2"], program: "0.1.0", askedMs: nowMs - 61_000 }], nowMs)[1])
      .toBe("bbbbbbbbbbbb  barn  1 min ago  0.1.0    h:1, h:2")
  })

  test("spans in their largest unit; clocks that disagree make none negative", () => {
    expect([0, 999, 1000, 59_999, 60_000, 3_600_000, 86_400_000 * 90, -5000].map(formatSpan)).toEqual(["0 s", "0 s", "1 s", "59 s", "1 min", "1 h", "90 d", "0 s"])
  })

  test("a frame is no wider and no higher than its terminal", () => {
    expect(fitting(["abc", "", "de", "f"], 2, 4)).toBe(["ab", "c", "", "de"].map((line) => `${line}\u001b[K`).join("\r\n"))
    expect(fitting(["abc"], 0, 0)).toBe("abc\u001b[K")
  })
})
