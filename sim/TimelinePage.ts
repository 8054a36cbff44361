/**
 * TimelinePage: a world's trace as one page that a person can read: an overview by time (lives, requests, faults, crashes), and
 * below it every event in a row, with a lane for clients, the node and what harmed it. It needs nothing but a browser.
 */
import type { ProfileName } from "./Profile.ts"

export interface TimelineStory {
  readonly seed: number
  readonly profile: ProfileName
  readonly verdict: string
  /** All lines of the trace: microseconds, a space, what happened. */
  readonly lines: ReadonlyArray<string>
}

type Lane = "client" | "node" | "fault" | "log"

interface Row {
  readonly us: number
  readonly lane: Lane
  readonly text: string
  /** Of a request: the number that its beginning and its end share. */
  readonly request: string | undefined
}

const laneOf = (text: string): Lane => {
  if (text.startsWith("> ") || text.startsWith("< ")) return "client"
  if (text.startsWith("! ")) return "fault"
  return text.startsWith("log ") ? "log" : "node"
}

const rowOf = (line: string): Row => {
  const space = line.indexOf(" ")
  const text = line.slice(space + 1)
  const lane = laneOf(text)
  return { us: Number(line.slice(0, space)), lane, text, request: lane === "client" ? /^[<>] (\d+) /.exec(text)?.[1] : undefined }
}

const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)

const seconds = (us: number): string => (us / 1_000_000).toFixed(3)

interface Life {
  readonly fromUs: number
  readyUs: number | undefined
  toUs: number
}

const livesOf = (rows: ReadonlyArray<Row>, endUs: number): ReadonlyArray<Life> => {
  const lives: Array<Life> = []
  for (const { lane, text, us } of rows) {
    if (lane !== "node") continue
    if (/\bstarts, life \d+$/.test(text)) lives.push({ fromUs: us, readyUs: undefined, toUs: endUs })
    const life = lives.at(-1)
    if (life === undefined) continue
    if (/\bis ready, life \d+$/.test(text)) life.readyUs = us
    if (/\bis off: /.test(text)) life.toUs = us
  }
  return lives
}

const widthPx = 1400
const laneTop: Readonly<Record<Lane, number>> = { client: 10, node: 60, fault: 92, log: 116 }

/** Every mark leads to its row. */
const overview = (rows: ReadonlyArray<Row>): string => {
  const endUs = Math.max(1, rows.at(-1)?.us ?? 1)
  const x = (us: number): string => ((us / endUs) * widthPx).toFixed(1)
  const lives = livesOf(rows, endUs).map(({ fromUs, readyUs, toUs }) => {
    const ready = readyUs ?? toUs
    return `<rect class="starting" x="${x(fromUs)}" y="60" width="${x(ready - fromUs)}" height="18"/><rect class="ready" x="${x(ready)}" y="60" width="${x(toUs - ready)}" height="18"/>`
  })
  const begun = new Map<string, number>()
  const marks: Array<string> = []
  rows.forEach(({ lane, request, text, us }, index) => {
    if (request !== undefined && text.startsWith("> ")) return void begun.set(request, us)
    if (request !== undefined) {
      const from = begun.get(request) ?? us
      const y = laneTop.client + (Number(request) % 8) * 5
      marks.push(`<a href="#r${index}"><rect class="${outcomeOf(text)}" x="${x(from)}" y="${y}" width="${Math.max(1, (us - from) / endUs * widthPx).toFixed(1)}" height="4"><title>${escaped(text)}</title></rect></a>`)
    } else if (lane !== "node" || /\bis off: /.test(text)) {
      const top = lane === "node" ? 54 : laneTop[lane]
      marks.push(`<a href="#r${index}"><rect class="${lane === "node" ? "off" : lane}" x="${x(us)}" y="${top}" width="2" height="${lane === "node" ? 30 : 16}"><title>${escaped(text)}</title></rect></a>`)
    }
  })
  const ticks = Array.from({ length: 11 }, (_, index) =>
    `<text x="${(index / 10) * (widthPx - 60)}" y="150">${seconds(index / 10 * endUs * (widthPx - 60) / widthPx)} s</text>`)
  const names = `<text x="0" y="8">requests</text><text x="0" y="90">faults</text><text x="0" y="115">log</text>`
  return `<svg viewBox="0 0 ${widthPx} 156" role="img" aria-label="overview">${lives.join("")}${marks.join("")}${ticks.join("")}${names}</svg>`
}

const outcomeOf = (text: string): string => {
  const status = /^< \d+ \S+ .* (\d{3})\b/.exec(text)?.[1]
  return status === undefined ? "unknown" : status < "400" ? "good" : status < "500" ? "refused" : "failed"
}

const lanes: ReadonlyArray<Lane> = ["client", "node", "fault", "log"]

const tableRow = (row: Row, index: number): string => {
  const kind = row.lane === "client" && row.text.startsWith("< ") ? outcomeOf(row.text) : row.lane
  const cells = lanes.map((lane) => lane === row.lane ? `<td class="${kind}">${escaped(row.text)}</td>` : "<td></td>")
  return `<tr id="r${index}"${row.request === undefined ? "" : ` data-request="${row.request}"`}><td>${seconds(row.us)}</td>${cells.join("")}</tr>`
}

const style = `body{font:13px/1.4 system-ui,sans-serif;margin:1.5em;color:#222;background:#fff}svg{width:100%;border:1px solid #ccc;background:#fafafa}
svg text{font:9px sans-serif;fill:#555}table{border-collapse:collapse;width:100%;table-layout:fixed;margin-top:1em}
td,th{padding:1px 6px;text-align:left;vertical-align:top;overflow-wrap:anywhere;border-top:1px solid #eee}th{position:sticky;top:0;background:#fff}
td:first-child,th:first-child{width:6em;font-variant-numeric:tabular-nums;color:#777}tr:target,tr.same{background:#fff3b0}
.starting{fill:#f2c879}.ready{fill:#7fb77e}.off{fill:#b00020}.good{fill:#4c78a8;color:#1f4e79}.refused{fill:#e0a030;color:#8a5a00}
.failed{fill:#d1495b;color:#b00020}.unknown{fill:#8e6bbf;color:#5b3a8c}.fault{fill:#d1495b;color:#b00020}.log{fill:#999;color:#555}.node{color:#2b6a2b}`

/** A click on a row marks the other end of its request. */
const script = `document.addEventListener("click",e=>{const r=e.target.closest("tr[data-request]");document.querySelectorAll("tr.same").forEach(t=>t.classList.remove("same"));
if(r)document.querySelectorAll('tr[data-request="'+r.dataset.request+'"]').forEach(t=>t.classList.add("same"))})`

/** A whole HTML document. */
export const timelinePage = ({ lines, profile, seed, verdict }: TimelineStory): string => {
  const rows = lines.map(rowOf)
  const title = `seed ${seed} (${profile}): ${escaped(verdict.split("\n")[0] ?? "")}`
  const head = ["time, s", "clients", "node", "faults", "log"].map((name) => `<th>${name}</th>`).join("")
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><style>${style}</style>
<h1 style="font-size:1.2em">${title}</h1>
<pre>${escaped(verdict)}</pre>
<p>Bars: requests (blue answered, orange refused, red failed, violet nobody knows), the node starting and ready, its ends in red. Click a mark to go to its row.</p>
${overview(rows)}
<table><thead><tr>${head}</tr></thead><tbody>
${rows.map(tableRow).join("\n")}
</tbody></table><script>${script}</script></html>
`
}
