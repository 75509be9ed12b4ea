import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseBase64 } from '../../src/bytes/base64.ts'
import { decodeUtf8, encodeUtf8 } from '../../src/bytes/text.ts'
import { openLogClient, type LogClient } from '../../src/client/log-client.ts'
import type { LogClientOptions } from '../../src/client/log-client-options.ts'
import { verifyProofFile } from '../../src/client/verify.ts'
import { EMPTY_ROOT, leafHash } from '../../src/merkle/hash.ts'
import { verifyConsistency } from '../../src/merkle/verify.ts'
import { generateSigningKey } from '../../src/note/key.ts'
import { signNote } from '../../src/note/note.ts'
import { all, FakeClock, FakeLog, flipped, ORIGIN, problem, URL_PREFIX, VKEY } from './fake-log.ts'

function clientOf(log: FakeLog, options: Partial<LogClientOptions> = {}): LogClient {
  return openLogClient({
    url: URL_PREFIX,
    verifierKey: VKEY,
    fetch: log.fetch,
    clock: new FakeClock(),
    deadlineMs: 0,
    ...options,
  })
}

/** The other history: as long, and the same up to `same`. */
function forkOf(size: number, same = 0): Promise<FakeLog> {
  return FakeLog.create(size, (text) => (Number(text.slice(6)) < same ? text : text.toUpperCase()))
}

describe.each([
  ['a public log', false],
  ["a private log, with a writer's key", true],
])('checkpoint() of %s', (_, isPrivate) => {
  const create = async (size: number): Promise<FakeLog> =>
    Object.assign(await FakeLog.create(size), { private: isPrivate })

  it('gives what the log signed, and remembers it', async () => {
    const log = await create(300)
    const client = clientOf(log)
    expect(client.newest).toBeUndefined()
    const head = await client.checkpoint()
    expect(head).toMatchObject({ origin: ORIGIN, size: 300, root: log.tree.root, note: log.note })
    expect(client.newest).toEqual(head)
  })

  it('proves at every step that the log only grew', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(400), { minLength: 2, maxLength: 6 }), async (steps) => {
        const log = await create(0)
        const client = clientOf(log)
        for (const step of steps) {
          await log.add(Array.from({ length: step }, (_, i) => `${log.tree.size + i}`))
          expect((await client.checkpoint()).size).toBe(log.tree.size)
        }
      }),
      { numRuns: 20 },
    )
  })

  it.each([
    ['as long', 300],
    ['longer', 900],
  ])('throws fork, with both heads, for another history that is %s', async (_length, size) => {
    const log = await create(300)
    const client = clientOf(log)
    const known = await client.checkpoint()
    const other = await forkOf(size, 200)
    log.lie = (path) => other.file(path)
    const error = await client.checkpoint().catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'fork', name: 'SteleError', known: { note: known.note } })
    expect(error).toMatchObject({ suspect: { note: other.note, size } })
    // What was known stays known.
    expect(client.newest).toEqual(known)
  })

  it('throws rolled_back, with both heads, for a log that shrank', async () => {
    const log = await create(300)
    const client = clientOf(log)
    await client.checkpoint()
    const yesterday = await FakeLog.create(299)
    log.lie = (path) => yesterday.file(path)
    const error = await client.checkpoint().catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'rolled_back', known: { size: 300 }, suspect: { size: 299 } })
  })
})

describe('checkpoint()', () => {
  it('works for an empty log, and for one that begins to grow', async () => {
    const log = new FakeLog()
    await log.add([])
    const client = clientOf(log)
    expect(await client.checkpoint()).toMatchObject({ size: 0, root: EMPTY_ROOT })
    expect(await all(client.entries(0))).toEqual([])
    await log.add(['first'])
    expect(await client.checkpoint()).toMatchObject({ size: 1 })
    expect(decodeUtf8(await client.entry(0), 'entry')).toBe('first')
  })

  it('refuses a signature that does not verify, a stranger, another origin, text that is no checkpoint', async () => {
    const log = await FakeLog.create(10)
    const client = clientOf(log)
    const stranger = generateSigningKey(ORIGIN, new Uint8Array(32).fill(7))
    const cases = [
      ['bad_signature', log.note.replace('\n10\n', '\n11\n')],
      ['untrusted_signer', await Object.assign(await FakeLog.create(10), { key: stranger }).sign()],
      ['wrong_origin', await log.sign({ origin: 'log.example/logs/other' })],
      ['malformed', '<html>welcome</html>'],
      ['malformed', ''],
      ['malformed', log.note.trimEnd()],
      ['bad_proof', await log.sign({ size: 0 })],
    ] as const
    for (const [code, note] of cases) {
      log.lie = (path) => (path === 'checkpoint' ? note : undefined)
      await expect(client.checkpoint()).rejects.toMatchObject({ code })
      expect(client.newest).toBeUndefined()
      expect(await client.unverifiedCheckpoint()).toBe(note)
    }
  })

  it('does not take an unproved head for a fork', async () => {
    const log = await FakeLog.create(300)
    const client = clientOf(log)
    await client.checkpoint()
    await log.add(['more'])
    log.lie = (path) => (path.startsWith('tile/0/001') ? flipped(log.file(path)!, 40) : undefined)
    await expect(client.checkpoint()).rejects.toMatchObject({ code: 'bad_proof' })
    expect(client.newest?.size).toBe(300)
    log.lie = () => undefined
    expect((await client.checkpoint()).size).toBe(301)
  })

  it('holds the log to a checkpoint kept from an earlier run', async () => {
    const log = await FakeLog.create(300)
    const known = log.note
    await log.add(['more'])
    expect((await clientOf(log, { known }).checkpoint()).size).toBe(301)
    const other = await forkOf(500)
    await expect(clientOf(other, { known }).checkpoint()).rejects.toMatchObject({ code: 'fork' })
    await expect(all(clientOf(other, { known }).entries(0, 5))).rejects.toMatchObject({ code: 'fork' })
    const shorter = await FakeLog.create(10)
    await expect(clientOf(shorter, { known }).checkpoint()).rejects.toMatchObject({ code: 'rolled_back' })
  })

  it('keeps the later of two notes about one tree, for the signatures it may have gained', async () => {
    const log = await FakeLog.create(10)
    const client = clientOf(log)
    await client.checkpoint()
    const stranger = generateSigningKey('witness.example', new Uint8Array(32).fill(7))
    log.note = await signNote(log.note.split('\n\n')[0]! + '\n', [log.key, stranger])
    await client.checkpoint()
    expect(client.newest?.note).toBe(log.note)
    expect((await client.prove(3)).proof).toContain('witness.example')
  })

  it('takes answers that overtake each other for one history, not for a rollback', async () => {
    const log = await FakeLog.create(10)
    const client = clientOf(log)
    await client.checkpoint()
    await log.add(['a'])
    const early = log.note
    await log.add(['b'])
    let release: (note: string) => void = () => {}
    log.lie = (path) =>
      path === 'checkpoint' ? new Promise<string>((resolve) => (release = resolve)) : undefined
    const slow = client.checkpoint()
    await new Promise((resolve) => setImmediate(resolve))
    log.lie = () => undefined
    expect((await client.checkpoint()).size).toBe(12)
    release(early)
    expect((await slow).size).toBe(11)
    expect(client.newest?.size).toBe(12)
  })
})

describe('reading', () => {
  it('tries again while the log asks for patience', async () => {
    const log = await FakeLog.create(10)
    const clock = new FakeClock()
    clock.chance = 0
    let refusals = 2
    log.lie = () =>
      refusals-- > 0 ? problem(429, 'rate_limited', 'slow down', { 'retry-after': '3' }) : undefined
    const client = clientOf(log, { clock, deadlineMs: 60_000 })
    expect((await client.checkpoint()).size).toBe(10)
    expect(clock.naps).toEqual([3_100, 3_200])
  })

  it('gives entries of a log that is only files', async () => {
    const log = await FakeLog.create(700)
    log.api = false
    const client = clientOf(log)
    const last = await client.entry(699)
    expect(decodeUtf8(last, 'entry')).toBe('entry 699')
    // Whoever keeps one entry does not keep its whole bundle with it.
    expect(last.buffer.byteLength).toBe(last.length)
    expect((await all(client.entries(100))).map(({ entry }) => entry)).toEqual(log.entries.slice(100))
    expect((await all(client.entries(250, 260))).map(({ index }) => index)[0]).toBe(250)
    await expect(client.entry(700)).rejects.toMatchObject({ code: 'out_of_range' })
    await expect(client.entry(-1)).rejects.toMatchObject({ code: 'out_of_range' })
    await expect(all(client.entries(0, 701))).rejects.toMatchObject({ code: 'out_of_range' })
  })

  it('asks for a newer head where the known one is too small', async () => {
    const log = await FakeLog.create(5)
    const client = clientOf(log)
    await client.checkpoint()
    await log.add(['five'])
    expect(decodeUtf8(await client.entry(5), 'entry')).toBe('five')
  })

  it('refuses an entry that is not the one in the tree', async () => {
    const log = await FakeLog.create(300)
    const other = await forkOf(300, 270)
    log.lie = (path) => (path.startsWith('tile/entries/') ? other.file(path) : undefined)
    await expect(clientOf(log).entry(280)).rejects.toMatchObject({ code: 'bad_proof' })
    expect(decodeUtf8(await clientOf(log).entry(3), 'entry')).toBe('entry 3')
  })

  it('proves an entry by index and by leaf hash, so that anybody can verify it', async () => {
    const log = await FakeLog.create(700)
    const entry = encodeUtf8('entry 513')
    for (const leaf of [513, leafHash(entry)]) {
      const proven = await clientOf(log).prove(leaf)
      expect(proven).toMatchObject({ index: 513, leafHash: leafHash(entry), checkpoint: { size: 700 } })
      const verified = verifyProofFile({ proof: proven.proof, entry, origin: ORIGIN, verifierKeys: [VKEY] })
      expect(verified).toMatchObject({ verdict: 'verified', index: 513, treeSize: 700 })
    }
  })

  it('does not believe where a leaf hash is', async () => {
    const log = await FakeLog.create(10)
    const client = clientOf(log)
    const hash = leafHash(encodeUtf8('entry 3'))
    const answers: [unknown, string][] = [
      [{ index: 4 }, 'bad_proof'],
      [{ index: 10 }, 'out_of_range'],
      [{ index: 1.5 }, 'unexpected_answer'],
      [{ index: '3' }, 'unexpected_answer'],
      [{}, 'unexpected_answer'],
      [[], 'unexpected_answer'],
      [null, 'unexpected_answer'],
    ]
    for (const [answer, code] of answers) {
      log.lie = (path) => (path.startsWith('v1/leaves/') ? JSON.stringify(answer) : undefined)
      await expect(client.prove(hash)).rejects.toMatchObject({ code })
    }
    log.lie = (path) => (path.startsWith('v1/leaves/') ? '{"index":' : undefined)
    await expect(client.prove(hash)).rejects.toMatchObject({ code: 'unexpected_answer' })
    log.lie = () => undefined
    await expect(client.prove(leafHash(encodeUtf8('not there')))).rejects.toMatchObject({ code: 'not_found' })
    await expect(client.prove(new Uint8Array(31))).rejects.toMatchObject({ code: 'malformed' })
  })

  it('proves that one size is a prefix of another', async () => {
    const log = await FakeLog.create(700)
    const client = clientOf(log)
    for (const [oldSize, newSize] of [
      [1, 700],
      [256, 700],
      [300, 513],
      [700, 700],
    ] as const) {
      verifyConsistency(await client.consistency(oldSize, newSize))
    }
    const whole = await client.consistency(300)
    expect(whole).toMatchObject({ oldSize: 300, newSize: 700, newRoot: log.tree.root })
    expect(whole.oldRoot).toEqual((await FakeLog.create(300)).tree.root)
    expect(await client.consistency(0)).toMatchObject({ oldRoot: EMPTY_ROOT, path: [] })
    for (const [oldSize, newSize] of [
      [5, 4],
      [1, 701],
      [-1, 5],
      [0.5, 1],
    ] as const) {
      await expect(client.consistency(oldSize, newSize)).rejects.toMatchObject({ code: 'out_of_range' })
    }
  })
})

describe('openLogClient', () => {
  it.each([
    '',
    'log.example/x',
    'ftp://log.example/',
    'https://log.example/?a',
    'https://log.example/#a',
    'https://u:p@x/',
  ])('refuses the URL %j', (url) => {
    expect(() => openLogClient({ url, verifierKey: VKEY })).toThrow('log URL: expected')
  })

  it('takes the prefix with or without the slash at its end, and several keys', async () => {
    const log = await FakeLog.create(3)
    const other = generateSigningKey(ORIGIN, new Uint8Array(32).fill(7)).verifier
    const client = clientOf(log, { url: URL_PREFIX.slice(0, -1), verifierKey: [other, VKEY] })
    expect(client.origin).toBe(ORIGIN)
    expect((await client.checkpoint()).size).toBe(3)
    expect(() => clientOf(log, { verifierKey: [] })).toThrow('expected at least one')
    expect(() => clientOf(log, { verifierKey: 'x' })).toThrow('verifier key')
  })
})

describe('a log written by another program', () => {
  const vectors = JSON.parse(
    readFileSync(new URL('../vectors/tessera-testlog.json', import.meta.url), 'utf8'),
  ) as { vkey: string; cases: Record<string, string>[] }

  it('is read and followed from size to size', async () => {
    let current: Record<string, string> = {}
    const fetch = async (url: string): Promise<Response> => {
      const path = url.slice('https://log.example/testdata/'.length)
      const text = current[path]
      if (text === undefined) return new Response(null, { status: 404 })
      return new Response(path === 'checkpoint' ? text : parseBase64(text, path).slice())
    }
    const url = 'https://log.example/testdata/'
    const client = openLogClient({ url, verifierKey: vectors.vkey, fetch, deadlineMs: 0 })
    for (current of vectors.cases) {
      const head = await client.checkpoint()
      expect(head.size).toBe(Number(current['size']))
      const entries = await all(client.entries(0))
      expect(entries).toHaveLength(head.size)
      for (const { index, entry } of entries) {
        const { proof } = await client.prove(index)
        const check = { proof, entry, origin: client.origin, verifierKeys: [vectors.vkey] }
        expect(verifyProofFile(check).verdict).toBe('verified')
      }
    }
    expect(decodeUtf8(await client.entry(1), 'entry')).toBe('two')
  })
})
