import { describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { openLogClient, type LogClient } from '../../src/client/log-client.ts'
import type { LogClientOptions } from '../../src/client/log-client-options.ts'
import { verifyProofFile } from '../../src/client/verify.ts'
import { EMPTY_ROOT, leafHash } from '../../src/merkle/hash.ts'
import { generateSigningKey } from '../../src/note/key.ts'
import { FakeClock, FakeLog, ORIGIN, problem, URL_PREFIX, VKEY, type Lie } from './fake-log.ts'

const ENTRY = encodeUtf8('a new entry')

interface Stage {
  readonly log: FakeLog
  readonly clock: FakeClock
  readonly client: LogClient
}

/** The two kinds of logs that an application appends to, and the client's key is a writer's. */
const LOGS: readonly [string, boolean][] = [
  ['a public log', false],
  ["a private log, with a writer's key", true],
]

async function openStage(
  isPrivate: boolean,
  size = 10,
  options: Partial<LogClientOptions> = {},
): Promise<Stage> {
  const log = await FakeLog.create(size)
  log.private = isPrivate
  const clock = new FakeClock()
  clock.chance = 0
  const client = openLogClient({
    url: URL_PREFIX,
    verifierKey: VKEY,
    fetch: log.fetch,
    clock,
    deadlineMs: 60_000,
    ...options,
  })
  return { log, clock, client }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const posts = (log: FakeLog): string[] => log.asked.filter((path) => path.startsWith('POST'))

/** Gives these answers to the first requests that post something, undefined lets one through. */
function onPost(...answers: (Awaited<ReturnType<Lie>> | (() => Promise<Response>))[]): Lie {
  return (_, init) => {
    if (init.method !== 'POST' || answers.length === 0) return undefined
    const answer = answers.shift()
    return typeof answer === 'function' ? answer() : answer
  }
}

const dropped = (): Promise<Response> =>
  Promise.reject(new TypeError('fetch failed', { cause: new Error('ECONNRESET') }))

/** The log stores what was sent, and then the connection breaks. */
function storedThenDropped(log: FakeLog): Lie {
  let times = 1
  return async (_, init) => {
    if (init.method !== 'POST' || times-- <= 0) return undefined
    await log.add([init.body as Uint8Array])
    return dropped()
  }
}

describe.each(LOGS)('append: %s', (_, isPrivate) => {
  const stage = (size?: number, options?: Partial<LogClientOptions>) => openStage(isPrivate, size, options)

  it('gives a receipt that verifies offline', async () => {
    const { client } = await stage(300)
    const receipt = await client.append(ENTRY)
    expect(receipt).toMatchObject({ index: 300, leafHash: leafHash(ENTRY), unverifiedDuplicate: false })
    expect(receipt.checkpoint.size).toBe(301)
    expect(client.newest?.size).toBe(301)
    const check = { proof: receipt.proof, entry: ENTRY, origin: ORIGIN, verifierKeys: [VKEY] }
    expect(verifyProofFile(check)).toMatchObject({ verdict: 'verified', index: 300 })
  })

  it('asks for few tiles, however many receipts come at a time', async () => {
    const { client, log } = await stage(300)
    await client.checkpoint()
    log.asked = []
    // Each answer has a head of its own; what they have in common is the right edge of the largest.
    const entries = Array.from({ length: 50 }, (_, i) => encodeUtf8(`at a time ${i}`))
    const receipts = await Promise.all(entries.map((entry) => client.append(entry)))
    expect(receipts.map(({ index }) => index).sort((a, b) => a - b)).toEqual(entries.map((_, i) => 300 + i))
    expect(client.newest?.size).toBe(350)
    expect(log.asked.filter((path) => path.startsWith('tile/')).length).toBeLessThan(20)
  })

  it('gives the same index for the same bytes', async () => {
    const { client } = await stage(300)
    const first = await client.append(ENTRY)
    expect(await client.append(ENTRY)).toMatchObject({ index: first.index, unverifiedDuplicate: true })
    expect((await client.append(new Uint8Array(0))).index).toBe(301)
  })

  it('refuses an entry that is too long before anything is sent', async () => {
    const { client, log } = await stage()
    await expect(client.append(new Uint8Array(65_536))).rejects.toMatchObject({ code: 'too_large' })
    await expect(client.appendBatch([ENTRY, new Uint8Array(65_536)])).rejects.toThrow(
      'batch, entry 1: expected at most',
    )
    await expect(client.appendBatch([])).rejects.toMatchObject({ code: 'malformed' })
    expect(log.asked).toEqual([])
    expect((await client.append(new Uint8Array(65_535))).index).toBe(10)
  })

  it('waits as long as the log asks, and then tries again', async () => {
    const { client, log, clock } = await stage()
    log.lie = onPost(
      problem(503, 'overloaded', 'full', { 'retry-after': '2' }),
      problem(429, 'rate_limited', 'your share is used up', { 'retry-after': '5' }),
      problem(503, 'shutting_down', 'stopping'),
    )
    expect((await client.append(ENTRY)).index).toBe(10)
    expect(clock.naps).toEqual([2_100, 5_200, 400])
    expect(posts(log)).toHaveLength(4)
  })

  it('gives the refusal to the caller once the deadline would pass', async () => {
    const { client, log, clock } = await stage()
    log.lie = onPost(problem(503, 'overloaded', 'full', { 'retry-after': '120' }))
    const refused = client.append(ENTRY)
    await expect(refused).rejects.toMatchObject({ code: 'overloaded', retryAfterSeconds: 120 })
    expect(clock.naps).toEqual([])
  })

  it('gives a final refusal to the caller at once', async () => {
    const { client, log } = await stage()
    for (const [status, code] of [
      [413, 'too_large'],
      [503, 'log_halted'],
      [400, 'malformed'],
    ] as const) {
      log.lie = onPost(problem(status, code, 'no'))
      await expect(client.append(ENTRY)).rejects.toMatchObject({ code })
    }
    expect(posts(log)).toHaveLength(3)
    expect(log.tree.size).toBe(10)
  })

  it('gets the index of the first time when the connection broke after the log had stored', async () => {
    const { client, log } = await stage()
    log.lie = storedThenDropped(log)
    expect(await client.append(ENTRY)).toMatchObject({ index: 10, unverifiedDuplicate: true })
    expect(log.tree.size).toBe(11)
    expect(log.asked).toContain('https://log.example/v1/logs')
  })

  it.each(['unreachable', 'outcome_unknown'])(
    'does not repeat after %s where the log keeps duplicates',
    async (code) => {
      const { client, log } = await stage()
      log.allowDuplicates = true
      log.lie = onPost(code === 'unreachable' ? dropped : problem(503, code, 'who knows'))
      await expect(client.append(ENTRY)).rejects.toMatchObject({ code })
      expect(posts(log)).toHaveLength(1)
    },
  )

  it('does repeat there what was refused, and what it was told to repeat', async () => {
    const { client, log } = await stage()
    log.allowDuplicates = true
    log.lie = onPost(problem(503, 'overloaded', 'full'))
    expect((await client.append(ENTRY)).index).toBe(10)
    log.lie = storedThenDropped(log)
    expect((await client.append(ENTRY, { repeatInDoubt: true })).index).toBe(12)
  })

  it('does not repeat in doubt where the log does not say, or the caller says not to', async () => {
    const { client, log } = await stage()
    log.lie = onPost(dropped)
    await expect(client.append(ENTRY, { repeatInDoubt: false })).rejects.toMatchObject({
      code: 'unreachable',
    })
    log.lie = (path, init) =>
      init.method === 'POST' ? dropped() : path.endsWith('v1/logs') ? '{"logs":[]}' : undefined
    await expect(client.append(ENTRY)).rejects.toMatchObject({ code: 'unreachable' })
    expect(posts(log)).toHaveLength(2)
  })

  it('stays in doubt when a refusal follows', async () => {
    const { client, log } = await stage()
    log.lie = onPost(dropped, problem(503, 'log_halted', 'no space'))
    const error = await client.append(ENTRY).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'outcome_unknown', cause: { code: 'log_halted' } })
  })

  it('waits for publication where the log says 202, and gets the proof then', async () => {
    const { client, log, clock } = await stage()
    log.lie = (path, init) => {
      const answer = {
        index: 10,
        leafHash: Buffer.from(leafHash(ENTRY)).toString('hex'),
        treeSize: 11,
        duplicate: false,
      }
      if (init.method === 'POST' && posts(log).length === 1) return Response.json(answer, { status: 202 })
      if (path === 'checkpoint' && clock.naps.length === 2) return log.add([ENTRY]).then(() => undefined)
      return undefined
    }
    const { index, proof } = await client.append(ENTRY)
    expect(index).toBe(10)
    expect(clock.naps).toEqual([100, 200])
    expect(verifyProofFile({ proof, entry: ENTRY, origin: ORIGIN, verifierKeys: [VKEY] }).verdict).toBe(
      'verified',
    )
  })

  it('does not believe the index of a 202', async () => {
    const { client, log } = await stage()
    const answer = {
      index: 3,
      leafHash: Buffer.from(leafHash(ENTRY)).toString('hex'),
      treeSize: 10,
      duplicate: true,
    }
    log.lie = onPost(Response.json(answer, { status: 202 }))
    await expect(client.append(ENTRY)).rejects.toMatchObject({ code: 'bad_proof' })
  })

  it('ends when the caller gives up', async () => {
    const { client, log } = await stage()
    const controller = new AbortController()
    log.lie = () => new Promise(() => {})
    const appended = client.append(ENTRY, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(appended).rejects.toThrow('enough')
  })
})

describe.each(LOGS)('a receipt: %s', (_, isPrivate) => {
  const stage = (size?: number, options?: Partial<LogClientOptions>) => openStage(isPrivate, size, options)

  it('of another entry is refused', async () => {
    const { client, log } = await stage()
    const good = {
      index: 3,
      leafHash: hex(leafHash(ENTRY)),
      treeSize: 10,
      duplicate: true,
      proof: await log.prove(3),
    }
    const cases: [object, string][] = [
      [good, 'bad_proof'],
      [{ ...good, leafHash: hex(log.tree.root) }, 'bad_proof'],
      [{ ...good, index: 4 }, 'bad_proof'],
      [{ ...good, proof: 'x' }, 'unexpected_answer'],
      [{ ...good, proof: good.proof.replace('\n10\n', '\n1x\n') }, 'unexpected_answer'],
      [{ ...good, proof: good.proof.replace('\n10\n', '\n11\n') }, 'bad_signature'],
      [{ ...good, index: -1 }, 'unexpected_answer'],
      [{ ...good, leafHash: 'ABC' }, 'unexpected_answer'],
    ]
    for (const [answer, code] of cases) {
      log.lie = onPost(JSON.stringify(answer))
      await expect(client.append(ENTRY)).rejects.toMatchObject({ code })
    }
    log.lie = onPost(JSON.stringify({ ...good, leafHash: hex(log.tree.root) }))
    await expect(client.append(ENTRY)).rejects.toThrow('it is for other bytes')
    log.lie = onPost(JSON.stringify({ ...good, index: 4 }))
    await expect(client.append(ENTRY)).rejects.toThrow('says index 4, but its proof is for index 3')
    log.lie = onPost('<html>')
    await expect(client.append(ENTRY)).rejects.toMatchObject({ code: 'unexpected_answer' })
    log.lie = onPost(new Uint8Array(5 * 1024 * 1024))
    await expect(client.append(ENTRY)).rejects.toThrow('expected at most')
  })

  it('by a stranger, or of another history, is refused', async () => {
    const { client, log } = await stage()
    await client.checkpoint()
    const other = await FakeLog.create(20, (text) => text.toUpperCase())
    await other.add([ENTRY])
    const answer = async () =>
      JSON.stringify({
        index: 20,
        leafHash: hex(leafHash(ENTRY)),
        treeSize: 21,
        proof: await other.prove(20),
      })
    const forked = await answer()
    log.lie = (path, init) => (init.method === 'POST' ? forked : other.file(path))
    await expect(client.append(ENTRY)).rejects.toMatchObject({
      code: 'fork',
      known: { size: 10 },
      suspect: { size: 21 },
    })
    other.key = generateSigningKey(ORIGIN, new Uint8Array(32).fill(7))
    other.note = await other.sign()
    log.lie = onPost(await answer())
    await expect(client.append(ENTRY)).rejects.toMatchObject({ code: 'untrusted_signer' })
  })
})

describe.each(LOGS)('appendBatch: %s', (_, isPrivate) => {
  const stage = (size?: number, options?: Partial<LogClientOptions>) => openStage(isPrivate, size, options)

  const batch = ['x', 'entry 3', 'y', 'x', ''].map(encodeUtf8)

  it('says where every entry is', async () => {
    const { client } = await stage()
    const receipt = await client.appendBatch(batch)
    expect(receipt).toMatchObject({
      indexes: [10, 3, 11, 10, 12],
      unverifiedDuplicates: [1, 3],
      checkpoint: { size: 13 },
    })
    expect(receipt.leafHashes).toEqual(batch.map(leafHash))
    expect((await client.appendBatch(batch)).indexes).toEqual([10, 3, 11, 10, 12])
  })

  it('tries again after a refusal', async () => {
    const { client, log, clock } = await stage()
    log.lie = onPost(problem(503, 'overloaded', 'full', { 'retry-after': '2' }))
    expect((await client.appendBatch(batch)).indexes).toEqual([10, 3, 11, 10, 12])
    expect(clock.naps).toEqual([2_100])
  })

  it('refuses indexes where the tree has other leaves, and numbers that do not add up', async () => {
    const { client, log } = await stage(20)
    const good = {
      begin: 10,
      end: 13,
      treeSize: 20,
      count: 5,
      duplicates: [
        { position: 1, index: 3 },
        { position: 3, index: 10 },
      ],
    }
    const cases: [object, string][] = [
      [good, 'bad_proof'],
      [{ ...good, end: 14 }, 'unexpected_answer'],
      [{ ...good, end: 9 }, 'unexpected_answer'],
      [{ ...good, count: 4 }, 'unexpected_answer'],
      [{ ...good, duplicates: good.duplicates.slice(1) }, 'unexpected_answer'],
      [
        {
          ...good,
          duplicates: [
            { position: 1, index: 3 },
            { position: 1, index: 3 },
          ],
        },
        'unexpected_answer',
      ],
      [
        {
          ...good,
          duplicates: [
            { position: 1, index: 3 },
            { position: 5, index: 3 },
          ],
        },
        'unexpected_answer',
      ],
      [{ ...good, duplicates: [{ position: 1, index: 3 }, 7] }, 'unexpected_answer'],
      [{ ...good, duplicates: null }, 'unexpected_answer'],
    ]
    for (const [answer, code] of cases) {
      log.lie = onPost(JSON.stringify(answer))
      await expect(client.appendBatch(batch)).rejects.toMatchObject({ code })
    }
  })

  it('does not wait without end for a head that covers the batch', async () => {
    const { client, log, clock } = await stage(10)
    log.lie = onPost(JSON.stringify({ begin: 10, end: 15, treeSize: 15, count: 5, duplicates: [] }))
    await expect(client.appendBatch(batch)).rejects.toMatchObject({ code: 'unreachable' })
    expect(clock.naps.reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual(60_000)
  })
})

describe("a writer's key of a private log", () => {
  const batch = Array.from({ length: 20 }, (_, i) => encodeUtf8(`private ${i}`))

  it('appends again and again, with one served proof for each new head and no more', async () => {
    const { client, log } = await openStage(true, 300)
    await client.checkpoint()
    for (let i = 0; i < 3; i++) await client.append(encodeUtf8(`mine ${i}`))
    log.asked = []
    await client.append(ENTRY)
    await client.append(ENTRY)
    expect(log.asked).toEqual([
      'POST v1/entries?proof=true&wait=published',
      'v1/proofs/consistency?old=303&new=304',
      // The same head: it has been accepted, and nothing is asked for.
      'POST v1/entries?proof=true&wait=published',
    ])
  })

  it('appends batches, and has a proof file of each entry', async () => {
    const { client, log } = await openStage(true, 300)
    await client.checkpoint()
    await client.appendBatch(batch.slice(0, 5))
    log.asked = []
    const { indexes, proofs, checkpoint } = await client.appendBatch(batch, { proofs: true })
    expect(log.asked).toEqual([
      'POST v1/batches?wait=published&proof=true',
      'v1/proofs/consistency?old=305&new=320',
    ])
    expect([indexes[0], checkpoint.size]).toEqual([300, 320])
    batch.forEach((entry, i) => {
      const check = { proof: proofs![i]!, entry, origin: ORIGIN, verifierKeys: [VKEY] }
      expect(verifyProofFile(check)).toMatchObject({ verdict: 'verified', index: 300 + i })
    })
  })

  it('is told in advance that a larger batch could not be verified', async () => {
    const { client, log } = await openStage(true)
    const many = Array.from({ length: 1001 }, (_, i) => encodeUtf8(`many ${i}`))
    await expect(client.appendBatch(many)).rejects.toMatchObject({ code: 'too_large' })
    expect(posts(log)).toEqual([])
  })

  it('believes no served proof that does not hold', async () => {
    const { client, log } = await openStage(true, 300)
    await client.checkpoint()
    const other = await FakeLog.create(300, (text) => text.toUpperCase())
    await other.add(batch)
    log.lie = async (path, init) => {
      if (path.startsWith('v1/proofs/consistency')) return JSON.stringify({ path: [] })
      if (init.method !== 'POST') return undefined
      return Response.json({ index: 300, leafHash: hex(leafHash(batch[0]!)), proof: await other.prove(300) })
    }
    // The other history holds the entry, and its head is signed; only what was known before speaks against it.
    const error = await client.append(batch[0]!).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'bad_proof', acknowledged: { indexes: [300] } })
    expect(client.newest?.size).toBe(300)
  })

  it.each([
    ['too few', (proofs: string[][]) => proofs.slice(1)],
    ['in another order', (proofs: string[][]) => proofs.toReversed()],
    ['with another hash', (proofs: string[][]) => proofs.map((path) => ['00'.repeat(32), ...path.slice(1)])],
    ['with text for a hash', (proofs: string[][]) => proofs.map((path) => ['x', ...path.slice(1)])],
    ['none', () => null],
  ])('believes no batch with proofs that are wrong: %s', async (_, spoil) => {
    const { client, log } = await openStage(true)
    log.lie = async (path, init) => {
      if (init.method !== 'POST') return undefined
      log.lie = () => undefined
      const answer = (await (await log.fetch(URL_PREFIX + path, init)).json()) as { proofs: string[][] }
      return JSON.stringify({ ...answer, proofs: spoil(answer.proofs) })
    }
    await expect(client.appendBatch(batch)).rejects.toMatchObject({
      code: expect.stringMatching(/^(bad_proof|unexpected_answer)$/) as string,
    })
  })

  it('learns that a public log became private, and has what it appended then proved by the log', async () => {
    const { client, log } = await openStage(false, 300)
    await client.checkpoint()
    await client.append(ENTRY)
    log.private = true
    expect((await client.appendBatch(batch)).indexes[0]).toBe(301)
    expect(posts(log)).toEqual([
      'POST v1/entries?proof=true&wait=published',
      'POST v1/batches?wait=published',
      'POST v1/batches?wait=published&proof=true',
    ])
    expect(log.tree.size).toBe(321)
  })
})

describe('an entry that was logged, though its proof could not be checked', () => {
  const acknowledged = (log: FakeLog) => async (): Promise<Response> => {
    await log.add([ENTRY])
    return Response.json({ index: 10, leafHash: hex(leafHash(ENTRY)) }, { status: 202 })
  }

  it('is said to be logged, and where', async () => {
    const { client, log } = await openStage(false)
    const accepted = acknowledged(log)
    log.lie = (path, init) =>
      init.method === 'POST' ? accepted() : path === 'checkpoint' ? dropped() : undefined
    const error = await client.append(ENTRY).catch((e: unknown) => e)
    expect(error).toMatchObject({
      code: 'unreachable',
      acknowledged: { indexes: [10] },
      message: expect.stringContaining('the log has acknowledged the entry at index 10') as string,
      cause: { code: 'unreachable' },
    })
    expect(posts(log)).toHaveLength(1)
  })

  it('is so in a log that allows duplicates and shows this key no tiles: it is not sent again', async () => {
    const { client, log } = await openStage(true)
    log.allowDuplicates = true
    log.lie = onPost(acknowledged(log))
    await expect(client.append(ENTRY)).rejects.toMatchObject({
      code: 'forbidden',
      acknowledged: { indexes: [10] },
    })
    expect(log.tree.size).toBe(11)
  })

  it('is given up at the deadline, which counts for the whole call, however the log dawdles', async () => {
    const log = await FakeLog.create(10)
    const client = openLogClient({ url: URL_PREFIX, verifierKey: VKEY, fetch: log.fetch, deadlineMs: 300 })
    const accepted = acknowledged(log)
    // Every head is a new one that covers nothing, and each file comes slowly: no single wait is ever too long.
    log.lie = async (path, init) => {
      if (init.method === 'POST') return accepted()
      if (path === 'checkpoint') return log.sign({ size: 0, root: EMPTY_ROOT })
      return new Promise(() => {})
    }
    await expect(client.append(ENTRY)).rejects.toMatchObject({
      code: 'unreachable',
      acknowledged: { indexes: [10] },
    })
  })

  it('keeps the two heads of a fork', async () => {
    const { client, log } = await openStage(false, 300)
    await client.checkpoint()
    const other = await FakeLog.create(400, (text) => text.toUpperCase())
    await other.add([ENTRY])
    log.lie = async (path, init) =>
      init.method === 'POST'
        ? Response.json({ index: 400, leafHash: hex(leafHash(ENTRY)), proof: await other.prove(400) })
        : other.file(path)
    await expect(client.append(ENTRY)).rejects.toMatchObject({
      code: 'fork',
      acknowledged: { indexes: [400] },
      known: { size: 300 },
      suspect: { size: 401 },
    })
  })
})
