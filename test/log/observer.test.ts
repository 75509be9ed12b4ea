import { expect, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { openTestLog } from '../support/log.ts'

test('an entry has waited since it was queued until the disk has it', async () => {
  let nowMs = 1_760_000_000_000
  let release = (): void => {}
  const disk = new Promise<void>((resolve) => (release = resolve))
  let commits = 0
  const { log } = await openTestLog({
    nowMs: () => nowMs,
    wrapStore: (store) =>
      new Proxy(store, {
        get: (target, name) => {
          if (name !== 'commit') {
            const part: unknown = Reflect.get(target, name)
            return typeof part === 'function' ? (part.bind(target) as unknown) : part
          }
          return async (...args: Parameters<typeof store.commit>) => {
            commits++
            await disk
            return target.commit(...args)
          }
        },
      }),
  })
  expect(log.status.oldestWaitingMs).toBe(0)
  const first = log.append([encodeUtf8('first')])
  await expect.poll(() => commits).toBe(1)
  nowMs += 5000
  const second = log.append([encodeUtf8('second')])
  await expect.poll(() => log.status.queuedEntries).toBe(2)
  nowMs += 2000
  expect(log.status.oldestWaitingMs).toBe(7000)
  release()
  await Promise.all([first, second])
  expect(log.status.oldestWaitingMs).toBe(0)
})
