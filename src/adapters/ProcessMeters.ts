/**
 * ProcessMeters: what this process uses of its machine, under the names that Prometheus' client libraries give it, so that
 * ready-made dashboards find them. Sits between node:process, node:perf_hooks and Meters.
 */
import { readdirSync, readFileSync } from "node:fs"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Effect, type Scope } from "effect"
import { eventLoopResolutionMs } from "../base/limits.ts"
import type { Meters } from "../base/Meters.ts"

/** Delays of the event loop since the last look; several looks within a second see the same. */
const loopDelays = (): Effect.Effect<() => { readonly p50: number; readonly p99: number; readonly max: number; readonly mean: number }, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const monitor = monitorEventLoopDelay({ resolution: eventLoopResolutionMs })
        monitor.enable()
        return monitor
      }),
      (monitor) => Effect.sync(() => monitor.disable())
    ),
    (monitor) => {
      // The monitor measures the pause between two ticks of its timer: what is above the timer's own is delay.
      const seconds = (nanoseconds: number): number => Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - eventLoopResolutionMs / 1000) : 0
      let last = { p50: 0, p99: 0, max: 0, mean: 0 }
      let lookedMs = Number.NEGATIVE_INFINITY
      return () => {
        const nowMs = performance.now()
        if (nowMs - lookedMs < 1000 || monitor.count === 0) return last
        lookedMs = nowMs
        last = { p50: seconds(monitor.percentile(50)), p99: seconds(monitor.percentile(99)), max: seconds(monitor.max), mean: seconds(monitor.mean) }
        monitor.reset()
        return last
      }
    }
  )

/** undefined where the system has no /proc. */
const openFiles = (): number | undefined => {
  try {
    // The listing itself holds one.
    return readdirSync("/proc/self/fd").length - 1
  } catch {
    // Not Linux: the gauge is not shown.
    return undefined
  }
}

const openFilesMax = (): number | undefined => {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]
    return limit === undefined ? undefined : Number(limit)
  } catch {
    // Not Linux: the gauge is not shown.
    return undefined
  }
}

/** Registers the gauges of this process, until the scope closes. */
export const meterProcess = (meters: Meters, version: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.map(loopDelays(), (delays) => {
    const startSeconds = Math.floor(Date.now() / 1000 - process.uptime())
    const filesMax = openFilesMax()
    meters.gauge("ouroboros_build_info", "1, with the versions of program and Node as labels.", () => 1, { version, node: process.version })
    meters.gauge("process_start_time_seconds", "Unix time at which the process started.", () => startSeconds)
    meters.counted("process_cpu_seconds_total", "Processor time of the process, all threads.", () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    })
    meters.gauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss())
    meters.gauge("process_open_fds", "Open files and sockets.", openFiles)
    meters.gauge("process_max_fds", "Most open files that the system allows.", () => filesMax)
    meters.gauge("nodejs_heap_size_used_bytes", "JavaScript heap in use.", () => process.memoryUsage().heapUsed)
    meters.gauge("nodejs_heap_size_total_bytes", "JavaScript heap.", () => process.memoryUsage().heapTotal)
    meters.gauge("nodejs_external_memory_bytes", "Memory of buffers outside the JavaScript heap.", () => process.memoryUsage().external)
    meters.gauge("nodejs_eventloop_lag_p50_seconds", "Delay of the event loop since the last look, median.", () => delays().p50)
    meters.gauge("nodejs_eventloop_lag_p99_seconds", "Delay of the event loop since the last look, 99 of 100.", () => delays().p99)
    meters.gauge("nodejs_eventloop_lag_max_seconds", "Delay of the event loop since the last look, longest.", () => delays().max)
    meters.gauge("nodejs_eventloop_lag_mean_seconds", "Delay of the event loop since the last look, mean.", () => delays().mean)
  })
