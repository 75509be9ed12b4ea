import { describe, expect, it, test } from 'vitest'
import { decodeUtf8, encodeUtf8 } from '../../src/bytes/text.ts'
import {
  auditLog,
  HttpFiles,
  openLogClient,
  verifyProofFile,
  type LogClient,
  type LogClientOptions,
} from '../../src/client/index.ts'
import { Stage as GuardedServer } from '../access/stage.ts'
import { verifyConsistency } from '../../src/merkle/verify.ts'
import { serve } from '../http/server.ts'
import { openTestLog, type TestLog, type TestLogOptions } from '../support/log.ts'
import { all, texts } from './fake-log.ts'

interface Stage {
  readonly hosted: TestLog
  readonly url: string
  /** Appends, and nothing else: on a private log it has a writer's key. */
  readonly writer: LogClient
  /** Reads, and nothing else: on a private log it has a reader's key. */
  readonly reader: LogClient
  /** A key of a private log. */
  apiKey(role: 'writer' | 'reader'): Promise<string | undefined>
  as(role: 'writer' | 'reader', options?: Partial<LogClientOptions>): Promise<LogClient>
}

/** Every test runs on each of these: what a client can do must not depend on who else may read. */
const LOGS = ['public', 'private, with its heads open', 'private, with its heads closed'] as const

async function openStage(kind: (typeof LOGS)[number], options: TestLogOptions = {}): Promise<Stage> {
  const isPrivate = kind !== 'public'
  const hosted: TestLog = {
    ...(await openTestLog(options)),
    reads: isPrivate ? 'private' : 'public',
    heads: kind === LOGS[2] ? 'closed' : 'open',
    openWrites: !isPrivate,
  }
  const guarded = isPrivate ? await GuardedServer.open({ logs: [hosted] }) : undefined
  const server = guarded?.url ?? `http://127.0.0.1:${(await serve([hosted])).port}`
  const url = `${server}/logs/demo/`
  const apiKey = async (role: 'writer' | 'reader'): Promise<string | undefined> =>
    (await guarded?.key(role, ['demo']))?.key
  const as = async (role: 'writer' | 'reader', more: Partial<LogClientOptions> = {}): Promise<LogClient> =>
    openLogClient({
      url,
      verifierKey: hosted.verifierKey,
      deadlineMs: 15_000,
      apiKey: await apiKey(role),
      ...more,
    })
  return { hosted, url, apiKey, as, writer: await as('writer'), reader: await as('reader') }
}

const entries = (begin: number, end: number): Uint8Array[] => texts(begin, end).map(encodeUtf8)

describe.each(LOGS)('the client and a server: %s', (kind) => {
  const stage = (options?: TestLogOptions) => openStage(kind, options)

  it('append at a time, read back, prove, and agree', async () => {
    const { hosted, writer, reader } = await stage()
    const receipts = await Promise.all(entries(0, 300).map((entry) => writer.append(entry)))
    expect(receipts.map(({ index }) => index).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 300 }, (_, i) => i),
    )
    expect(writer.newest?.size).toBe(300)
    for (const { index, proof, leafHash } of receipts.slice(0, 20)) {
      const check = { proof, leafHash, origin: hosted.origin, verifierKeys: [hosted.verifierKey] }
      expect(verifyProofFile(check)).toMatchObject({ verdict: 'verified', index })
      expect((await reader.prove(leafHash)).index).toBe(index)
    }
    const again = await writer.append(encodeUtf8('entry 7'))
    expect(again).toMatchObject({ index: receipts[7]!.index, unverifiedDuplicate: true })
    expect(decodeUtf8(await reader.entry(again.index), 'entry')).toBe('entry 7')
  })

  it('append batches, duplicates and all', async () => {
    const { hosted, writer, reader } = await stage()
    const first = await writer.appendBatch([...entries(0, 600), encodeUtf8('entry 5'), new Uint8Array(0)])
    expect(first.indexes).toEqual([...Array.from({ length: 600 }, (_, i) => i), 5, 600])
    expect(first.unverifiedDuplicates).toEqual([600])
    const batch = entries(590, 610)
    const again = await writer.appendBatch(batch, { proofs: true })
    expect(again.indexes).toEqual([
      ...Array.from({ length: 10 }, (_, i) => 590 + i),
      ...Array.from({ length: 10 }, (_, i) => 601 + i),
    ])
    for (const [i, proof] of again.proofs!.entries()) {
      const check = { proof, entry: batch[i]!, origin: hosted.origin, verifierKeys: [hosted.verifierKey] }
      expect(verifyProofFile(check)).toMatchObject({ verdict: 'verified', index: again.indexes[i] })
    }
    expect((await all(reader.entries(0))).length).toBe(611)
    expect((await reader.consistency(600)).path.length).toBeGreaterThan(0)
  })

  it('go on with a head that was kept from an earlier run', async () => {
    const { hosted, writer, as } = await stage()
    await writer.appendBatch(entries(0, 10))
    const kept = writer.newest!.note
    await hosted.add(...texts(10, 15))
    await writer.append(encodeUtf8('entry 15'))
    const next = await as('writer', { known: kept })
    expect((await next.append(encodeUtf8('entry 16'))).index).toBe(16)
  })

  it('follow by long polling', async () => {
    const { hosted, reader } = await stage()
    await hosted.add(...texts(0, 3))
    const seen: string[] = []
    for await (const event of reader.follow({ intervalMs: 60_000 })) {
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
    const { hosted, url, apiKey } = await stage()
    await hosted.log.append(entries(0, 1000))
    const report = await auditLog(new HttpFiles(url, { apiKey: await apiKey('reader') }), {
      origin: hosted.origin,
      verifierKeys: [hosted.verifierKey],
    })
    expect(report).toMatchObject({
      verdict: 'intact',
      checked: { entries: { begin: 0, end: 1000 }, tiles: 4 + 1 },
    })
  })

  it('speak of refusals with the same codes', async () => {
    const { hosted, writer, reader, url, as } = await stage({
      pool: { maxEntries: 2, maxBytes: 100, maxCommitEntries: 2, maxCommitBytes: 100 },
    })
    const crowded = writer.appendBatch(entries(0, 50), { deadlineMs: 0 })
    await expect(crowded).rejects.toMatchObject({
      name: 'SteleError',
      code: expect.stringMatching(/^(too_large|overloaded|rate_limited)$/),
    })
    await expect(reader.prove(new Uint8Array(32))).rejects.toMatchObject({ code: 'not_found' })
    const nowhere = openLogClient({
      url: url.replace('demo', 'other'),
      verifierKey: hosted.verifierKey,
      deadlineMs: 0,
    })
    await expect(nowhere.checkpoint()).rejects.toMatchObject({ code: 'not_found' })
    const stranger = await as('reader', { origin: 'log.example/x', deadlineMs: 0 })
    await expect(stranger.checkpoint()).rejects.toMatchObject({ code: 'wrong_origin' })
    const deaf = openLogClient({
      url: 'http://127.0.0.1:1/logs/demo/',
      verifierKey: hosted.verifierKey,
      deadlineMs: 0,
    })
    await expect(deaf.append(encodeUtf8('x'))).rejects.toMatchObject({ code: 'unreachable' })
  })
})

test.each(['a head that is open', 'a head that is closed'] as const)(
  'a writer who may not read is refused what only readers see, and keeps appending: %s',
  async (head) => {
    const { hosted, writer } = await openStage(LOGS[head === 'a head that is open' ? 1 : 2])
    await hosted.add(...texts(0, 300))
    const before = await writer.checkpoint()
    await writer.append(encodeUtf8('mine'))
    await expect(writer.entry(3)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(writer.prove(3)).rejects.toMatchObject({ code: 'forbidden' })
    expect((await writer.append(encodeUtf8('mine, too'))).index).toBe(301)
    // Between heads that it has verified it proves consistency; of other sizes it cannot know the root hash.
    verifyConsistency(await writer.consistency(before.size, 301))
    await expect(writer.consistency(299)).rejects.toMatchObject({ code: 'forbidden' })
    expect(await writer.hold(before.note)).toEqual(before)
  },
)
