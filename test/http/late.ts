import { instead } from '../support/instead.ts'
import type { TestLog } from '../support/log.ts'

/** A log that shows its readers nothing new until it is told to, as if witnesses took their time. */
export function publishingLate(hosted: TestLog): {
  hosted: TestLog
  publish: { now(): void; whenAsked: Promise<void> }
} {
  const { log } = hosted
  const old = log.published
  let late = true
  let asked = (): void => {}
  const waiting = new Set<() => void>()
  const whenAsked = new Promise<void>((resolve) => (asked = resolve))
  const lateLog = instead(log, {
    get published() {
      return late ? old : log.published
    },
    async whenPublishedPast(size, signal) {
      if (signal.aborted) return false
      await new Promise<void>((resolve) => {
        waiting.add(resolve)
        signal.addEventListener('abort', () => resolve())
        asked()
      })
      return !late && log.published.size > size
    },
  })
  const now = (): void => {
    late = false
    for (const wake of waiting) wake()
  }
  return { hosted: { ...hosted, log: lateLog }, publish: { now, whenAsked } }
}
