import { describe, expect, it } from 'vitest'
import { decodeUtf8, encodeUtf8 } from '../../src/bytes/text.ts'
import {
  auditLog,
  HttpFiles,
  openLogClient,
  verifyProofFile,
  type LogClient,
} from '../../src/client/index.ts'
import { serve } from '../http/server.ts'
import { openTestLog, type TestLog, type TestLogOptions } from '../support/log.ts'
import { all, texts } from './fake-log.ts'

interface Stage {
  readonly hosted: TestLog
  readonly url: string
  readonly client: LogClient
}

async function stage(options: TestLogOptions = {}): Promise<Stage> {
  const hosted = await openTestLog(options)
  const { port } = await serve([hosted])
  const url = `http://127.0.0.1:${port}/logs/demo/`
  return { hosted, url, client: openLogClient({ url, verifierKey: hosted.verifierKey, deadlineMs: 15_000 }) }
}

const entries = (begin: number, end: number): Uint8Array[] => texts(begin, end).map(encodeUtf8)

describe('the client and a server', () => {
  it('append at a time, read back, prove, and agree', async () => {
    const { hosted, client } = await stage()
    const receipts = await Promise.all(entries(0, 300).map((entry) => client.append(entry)))
    expect(receipts.map(({ index }) => index).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 300 }, (_, i) => i),
    )
    expect(client.newest?.size).toBe(300)
    for (const { index, proof, leafHash } of receipts.slice(0, 20)) {
      const check = { proof, leafHash, origin: hosted.origin, verifierKeys: [hosted.verifierKey] }
      expect(verifyProofFile(check)).toMatchObject({ verdict: 'verified', index })
      expect((await client.prove(leafHash)).index).toBe(index)
    }
    const again = await client.append(encodeUtf8('entry 7'))
    expect(again).toMatchObject({ index: receipts[7]!.index, unverifiedDuplicate: true })
    expect(decodeUtf8(await client.entry(again.index), 'entry')).toBe('entry 7')
  })

  it('append batches, duplicates and all', async () => {
    const { client } = await stage()
    const first = await client.appendBatch([...entries(0, 600), encodeUtf8('entry 5'), new Uint8Array(0)])
    expect(first.indexes).toEqual([...Array.from({ length: 600 }, (_, i) => i), 5, 600])
    expect(first.unverifiedDuplicates).toEqual([600])
    const again = await client.appendBatch(entries(590, 610))
    expect(again.indexes).toEqual([
      ...Array.from({ length: 10 }, (_, i) => 590 + i),
      ...Array.from({ length: 10 }, (_, i) => 601 + i),
    ])
    expect((await all(client.entries(0))).length).toBe(611)
    expect((await client.consistency(600)).path.length).toBeGreaterThan(0)
  })

  it('follow by long polling', async () => {
    const { hosted, client } = await stage()
    await hosted.add(...texts(0, 3))
    const seen: string[] = []
    for await (const event of client.follow({ intervalMs: 60_000 })) {
      seen.push(
        event.kind === 'checkpoint' ? `head ${event.checkpoint.size}` : decodeUtf8(event.entry, 'entry'),
      )
      // The interval is a minute: only a long poll can see this in time.
      if (event.state.nextIndex === 3 && event.kind === 'entry') void hosted.add('entry 3')
      if (event.state.nextIndex === 4) break
    }
    expect(seen).toEqual(['head 3', 'entry 0', 'entry 1', 'entry 2', 'head 4', 'entry 3'])
  })

  it('audit', async () => {
    const { hosted, url } = await stage()
    await hosted.log.append(entries(0, 1000))
    const report = await auditLog(new HttpFiles(url), {
      origin: hosted.origin,
      verifierKeys: [hosted.verifierKey],
    })
    expect(report).toMatchObject({
      verdict: 'intact',
      checked: { entries: { begin: 0, end: 1000 }, tiles: 4 + 1 },
    })
  })

  it('speak of refusals with the same codes', async () => {
    const { hosted, client, url } = await stage({
      pool: { maxEntries: 2, maxBytes: 100, maxCommitEntries: 2, maxCommitBytes: 100 },
    })
    const crowded = client.appendBatch(entries(0, 50), { deadlineMs: 0 })
    await expect(crowded).rejects.toMatchObject({
      name: 'SteleError',
      code: expect.stringMatching(/^(too_large|overloaded|rate_limited)$/),
    })
    await expect(client.prove(new Uint8Array(32))).rejects.toMatchObject({ code: 'not_found' })
    const nowhere = openLogClient({
      url: url.replace('demo', 'other'),
      verifierKey: hosted.verifierKey,
      deadlineMs: 0,
    })
    await expect(nowhere.checkpoint()).rejects.toMatchObject({ code: 'not_found' })
    const stranger = openLogClient({
      url,
      verifierKey: hosted.verifierKey,
      origin: 'log.example/x',
      deadlineMs: 0,
    })
    await expect(stranger.checkpoint()).rejects.toMatchObject({ code: 'wrong_origin' })
    const deaf = openLogClient({
      url: 'http://127.0.0.1:1/logs/demo/',
      verifierKey: hosted.verifierKey,
      deadlineMs: 0,
    })
    await expect(deaf.append(encodeUtf8('x'))).rejects.toMatchObject({ code: 'unreachable' })
  })
})
