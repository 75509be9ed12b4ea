import { rmSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import { createMetrics } from '../../src/http/metrics/metrics.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { LevelLeafIndex } from '../../src/storage/leaf-index.ts'
import { serve } from '../http/server.ts'
import { openHost, SETTINGS, StoredLog, texts } from './fixture.ts'

test('a server whose log lost its leaf index answers at once, and says how far it is until entries are taken', async () => {
  const stored = await StoredLog.create()
  await stored.append(texts(0, 2000))
  rmSync(stored.files.leafIndex, { recursive: true })
  let go!: () => void
  const gate = new Promise<void>((resolve) => (go = resolve))
  const write = LevelLeafIndex.prototype.write
  const writing = vi.spyOn(LevelLeafIndex.prototype, 'write').mockImplementation(async function (
    this: LevelLeafIndex,
    leaves,
  ) {
    if (leaves.some(({ index }) => index >= 512)) await gate
    return write.call(this, leaves)
  })
  const host = await openHost(stored.folder, {
    settings: { ...SETTINGS, indexing: { atOpening: 0, step: 256 } },
    events: {},
  })
  const { log } = host.get('main')!
  await vi.waitUntil(() => log!.status.indexLag === 2000 - 512)

  const metrics = createMetrics(host, Date.now)
  const server = await serve([host.get('main')!], { nowMs: Date.now, metrics })
  const at = '/logs/main'
  const refused = await server.post(`${at}/v1/entries`, texts(0, 1)[0]!)
  expect(refused.status).toBe(503)
  expect(refused.headers['retry-after']).toMatch(/^[0-9]+$/)
  expect(refused.json()).toMatchObject({ code: 'index_behind' })
  const hashOf = (n: number): string => toHex(leafHash(new TextEncoder().encode(texts(n, n + 1)[0])))
  expect((await server.get(`${at}/v1/leaves/${hashOf(3)}`)).json()).toMatchObject({ index: 3 })
  const unfound = await server.get(`${at}/v1/leaves/${hashOf(1999)}`)
  expect([unfound.status, unfound.json()['code']]).toEqual([503, 'index_behind'])
  expect((await server.get(`${at}/v1/entries/1999`)).text).toBe(texts(1999, 2000)[0])
  const listed = await server.get('/v1/logs')
  expect(listed.json()['logs']).toMatchObject([
    { state: 'indexing', reason: expect.stringContaining('holds 512 of 2000 leaves') as string },
  ])
  const ready = await server.get('/readyz')
  expect([ready.status, ready.json()['logs']]).toMatchObject([503, [{ ready: false, state: 'indexing' }]])
  expect((await server.get('/servez')).status).toBe(200)
  const counted = await metrics.text()
  expect(counted).toContain('stele_index_lag{log="main"} 1488')
  expect(counted).toContain('stele_log_serving{log="main"} 0')

  go()
  writing.mockRestore()
  await vi.waitUntil(() => log!.status.state === 'serving')
  const again = await server.post(`${at}/v1/entries`, texts(1999, 2000)[0]!)
  expect(again.json()).toMatchObject({ index: 1999, treeSize: 2000 })
  expect((await server.get('/readyz')).status).toBe(200)
})
