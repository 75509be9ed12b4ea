import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Readiness } from '../../src/http/schemas.ts'
import type { ScrubClock } from '../../src/scrub/scrub-options.ts'
import type { Host } from '../../src/instance/host.ts'
import { stele } from '../cli/fixture.ts'
import { serve } from '../http/server.ts'
import { alterRecord, ENTRY } from '../storage/database.ts'
import { testFolder } from '../support/folder.ts'
import { openHost, StoredLog, texts } from '../instance/fixture.ts'

/** Serves the log with a scrubber that never rests, until it has found or cleared this many things and ended a pass. */
async function scrubbed(folder: string, expected: { found: number; cleared: number }) {
  const [found, cleared]: [string[], string[]] = [[], []]
  let passes = 0
  let ms = Date.now()
  let heard = (): void => {}
  const clock: ScrubClock = {
    nowMs: () => ms,
    async sleep(forMs) {
      ms += forMs
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
  const host = await openHost(folder, {
    scrubBytesPerSecond: 1e9,
    scrubClock: clock,
    events: {
      scrub: () => ({
        onFinding: ({ place }) => (found.push(place), heard()),
        onCleared: ({ place }) => (cleared.push(place), heard()),
        onPassDone: () => (passes++, heard()),
      }),
    },
  })
  while (found.length < expected.found || cleared.length < expected.cleared || passes === 0) {
    await new Promise<void>((resolve) => (heard = resolve))
  }
  return { host, found: found.toSorted(), cleared: cleared.toSorted() }
}

async function readyz(host: Host): Promise<[status: number, reason: string | undefined]> {
  const server = await serve([...host.list()], { nowMs: Date.now })
  const reply = await server.get('/readyz')
  return [reply.status, Readiness.parse(reply.json()).logs[0]!.reason]
}

test('what the scrubber knows to be damaged is good again after a repair, and the log is ready', async () => {
  const stored = await StoredLog.create()
  const { folder } = stored
  await stored.append(texts(0, 700), 256)
  const backup = join(testFolder(), 'backup')
  expect((await stele(['backup', 'main', '--data', folder, '--to', backup])).code).toBe(0)
  for (const index of [20, 300]) {
    await alterRecord(stored.files.database, index, ENTRY, () => Buffer.from(`forged ${index}`))
  }

  const first = await scrubbed(folder, { found: 2, cleared: 0 })
  expect(first.found).toEqual(['entry 20', 'entry 300'])
  expect(await readyz(first.host)).toEqual([503, expect.stringContaining('entry 20')])
  await first.host.close()
  // Known from before the start, and said once: it is neither found anew nor gone by itself.
  const second = await scrubbed(folder, { found: 0, cleared: 0 })
  expect([second.found, second.cleared]).toEqual([[], []])
  await second.host.close()

  const repaired = await stele(['repair', 'main', '--data', folder, '--from', backup, '--json'])
  expect([repaired.code, JSON.parse(repaired.out)]).toMatchObject([0, { repaired: { entries: 2 } }])
  const third = await scrubbed(folder, { found: 0, cleared: 2 })
  expect([third.found, third.cleared]).toEqual([[], ['entry 20', 'entry 300']])
  expect(await readyz(third.host)).toEqual([200, undefined])
  await third.host.close()
  const fourth = await scrubbed(folder, { found: 0, cleared: 0 })
  expect([fourth.found, fourth.cleared]).toEqual([[], []])
  await fourth.host.close()
})
