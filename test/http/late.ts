import type { Log } from '../../src/log/log.ts'
import type { TestLog } from '../support/log.ts'

/** A log that shows its readers nothing new until it is told to, as if witnesses took their time. */
export function publishingLate(hosted: TestLog): {
  hosted: TestLog
  publish: { now(): void; whenAsked: Promise<void> }
} {
  const old = hosted.log.published
  let late = true
  let asked = (): void => {}
  const waiting = new Set<() => void>()
  const whenAsked = new Promise<void>((resolve) => (asked = resolve))
  const log = new Proxy(hosted.log, {
    get(target, name) {
      if (late && name === 'published') return old
      if (late && name === 'whenPublishedPast') {
        return async (size: number, signal: AbortSignal): Promise<boolean> => {
          if (signal.aborted) return false
          await new Promise<void>((resolve) => {
            waiting.add(resolve)
            signal.addEventListener('abort', () => resolve())
            asked()
          })
          return !late && target.published.size > size
        }
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  }) as Log
  const now = (): void => {
    late = false
    for (const wake of waiting) wake()
  }
  return { hosted: { ...hosted, log }, publish: { now, whenAsked } }
}
