import { describe, expect, it } from 'vitest'
import { decodeUtf8, encodeUtf8 } from '../../src/bytes/text.ts'
import { openLogClient } from '../../src/client/log-client.ts'
import { openSubmitter, type Submitter, type SubmitterOptions } from '../../src/client/submitter.ts'
import type { SteleError } from '../../src/errors.ts'
import { FakeClock, FakeLog, problem, texts, URL_PREFIX, VKEY } from './fake-log.ts'

interface Stage {
  readonly log: FakeLog
  readonly submitter: Submitter
  /** What came back, as text, and why. */
  readonly undelivered: { entries: string[]; error: SteleError }[]
  readonly delivered: string[][]
}

async function stage(options: Partial<SubmitterOptions> = {}): Promise<Stage> {
  const log = await FakeLog.create(0)
  await log.add([])
  const undelivered: Stage['undelivered'] = []
  const delivered: string[][] = []
  const client = openLogClient({
    url: URL_PREFIX,
    verifierKey: VKEY,
    fetch: log.fetch,
    clock: new FakeClock(),
  })
  const text = (entries: readonly Uint8Array[]): string[] =>
    entries.map((entry) => decodeUtf8(entry, 'entry'))
  const submitter = openSubmitter(client, {
    onUndelivered: (entries, error) => void undelivered.push({ entries: text(entries), error }),
    onDelivered: (entries) => void delivered.push(text(entries)),
    ...options,
  })
  return { log, submitter, undelivered, delivered }
}

const down = (): Promise<Response> => Promise.reject(new TypeError('fetch failed'))
const posts = ({ asked }: FakeLog): string[] => asked.filter((path) => path.startsWith('POST'))
const submitAll = (submitter: Submitter, entries: readonly string[]): boolean[] =>
  entries.map((entry) => submitter.submit(encodeUtf8(entry)))

describe('a submitter', () => {
  it('delivers everything in its order, many entries in one request, and says so', async () => {
    const { log, submitter, delivered, undelivered } = await stage()
    log.allowDuplicates = true // It need not look for any, which takes it long.
    expect(submitAll(submitter, texts(0, 2500))).toEqual(Array.from({ length: 2500 }, () => true))
    await submitter.idle()
    expect(log.entries.map((entry) => decodeUtf8(entry, 'entry'))).toEqual(texts(0, 2500))
    expect(delivered.map(({ length }) => length)).toEqual([1000, 1000, 500])
    expect(posts(log)).toHaveLength(3)
    submitAll(submitter, texts(2500, 2501))
    await submitter.close()
    expect([log.tree.size, undelivered]).toEqual([2501, []])
  })

  it('keeps what it was given, whatever becomes of the buffer', async () => {
    const { log, submitter } = await stage()
    const buffer = encodeUtf8('as it was')
    submitter.submit(buffer)
    buffer.fill(0)
    await submitter.idle()
    expect(decodeUtf8(log.entries[0]!, 'entry')).toBe('as it was')
  })

  it('gives back what a log that is down did not take, and neither rejects nor throws', async () => {
    const { log, submitter, undelivered } = await stage()
    log.lie = down
    expect(submitAll(submitter, texts(0, 3))).toEqual([true, true, true])
    await submitter.idle()
    expect(undelivered).toMatchObject([{ entries: texts(0, 3), error: { code: 'unreachable' } }])
    log.lie = () => undefined
    submitAll(submitter, undelivered[0]!.entries)
    await submitter.close()
    expect(log.tree.size).toBe(3)
  })

  it.each([
    [{ maxEntries: 2 }, 2],
    [{ maxBytes: 16 }, 2],
  ])('refuses what is too much, and gives it back at once: %j', async (bounds, fitting) => {
    const { log, submitter, undelivered } = await stage(bounds)
    expect(submitAll(submitter, texts(0, 4)).filter(Boolean)).toHaveLength(fitting)
    await submitter.idle()
    expect(undelivered).toMatchObject([
      { entries: ['entry 2'], error: { code: 'overloaded' } },
      { entries: ['entry 3'], error: { code: 'overloaded' } },
    ])
    expect(log.tree.size).toBe(2)
    // What was delivered makes room.
    expect(submitAll(submitter, texts(4, 5))).toEqual([true])
    await submitter.close()
  })

  it('delivers the others when the log will not have one of them', async () => {
    const { log, submitter, undelivered } = await stage()
    log.lie = (_, init) =>
      init.method === 'POST' && Buffer.from(init.body as Uint8Array).includes('entry 5')
        ? problem(400, 'malformed', 'not this one')
        : undefined
    submitAll(submitter, texts(0, 10))
    expect(submitter.submit(new Uint8Array(65_536))).toBe(false)
    await submitter.close()
    expect(log.entries.map((entry) => decodeUtf8(entry, 'entry'))).toEqual(
      texts(0, 10).filter((text) => text !== 'entry 5'),
    )
    expect(undelivered.map(({ error }) => error.code)).toEqual(['too_large', 'malformed'])
  })

  it('takes nothing after it was closed, and reports what callbacks threw', async () => {
    const broken = await stage({
      onUndelivered: () => Promise.reject(new Error('disk full')),
      onDelivered: () => {
        throw new Error('not counted')
      },
    })
    submitAll(broken.submitter, texts(0, 1))
    await broken.submitter.idle()
    broken.log.lie = down
    submitAll(broken.submitter, texts(1, 2))
    await expect(broken.submitter.close()).rejects.toMatchObject({
      errors: [{ message: 'not counted' }, { message: 'disk full' }],
    })
    const { submitter, undelivered } = await stage()
    await submitter.close()
    expect(submitAll(submitter, ['late'])).toEqual([false])
    expect(undelivered).toMatchObject([{ entries: ['late'], error: { code: 'shutting_down' } }])
  })
})
