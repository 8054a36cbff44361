/** The page of a world: every line of the trace is a row, requests are bars, and nothing in it is taken for markup. */
import { expect, it } from "vitest"
import { timelinePage } from "../../sim/TimelinePage.ts"

const lines = [
  "0 starts, life 1", "2000 is ready, life 1", "3000 > 1 PUT /b/<k>", "3500 ! WriteFailed", "4000 < 1 PUT /b/<k> 503  ",
  "5000 > 2 GET /b/k", "6000 is off: PowerCut", "7000 < 2 GET /b/k Unknown", "8000 log Warn \"half\" & more"
]
const page = timelinePage({ seed: 7, profile: "short", verdict: "safety: <b>bytes</b> differ\nat 4", lines })

it("every line is a row in the lane of whom it tells of", () => {
  expect(page.match(/<tr id="r\d+"/g)).toHaveLength(lines.length)
  expect(page).toMatch(/<tr id="r3"><td>0\.004<\/td><td><\/td><td><\/td><td class="fault">! WriteFailed<\/td>/)
  expect(page).toMatch(/<tr id="r6"><td>0\.006<\/td><td><\/td><td class="node">is off: PowerCut<\/td>/)
})

it("both ends of a request carry its number, and its bar its outcome", () => {
  expect(page.match(/data-request="1"/g)).toHaveLength(2)
  expect(page).toMatch(/<a href="#r4"><rect class="failed"/)
  expect(page).toMatch(/<a href="#r7"><rect class="unknown"/)
})

it("what a trace says is text, never markup", () => {
  expect(page).not.toContain("<k>")
  expect(page).not.toContain("<b>bytes")
  expect(page).toContain("&#60;b&#62;bytes")
})

it("needs nothing from elsewhere", () => {
  expect(page).not.toMatch(/https?:|src=|@import/)
})
