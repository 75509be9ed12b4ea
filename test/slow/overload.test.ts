import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { encodeBundle } from '../../src/tile/bundle.ts'
import { Connection, type Answer } from '../process/connection.ts'
import { makeLogFolder, prefix } from '../process/log-folder.ts'
import { ServerProcess } from '../support/process.ts'

const MIB = 1024 * 1024
const WRITERS = 16
const ROUNDS = 8

/** What a server may hold of other people's entries at once, and what it may take for them and for itself in all. */
interface Bounds {
  readonly flags: readonly string[]
  readonly maxRssBytes: number
}

/**
 * Of the bounds that are set, 192 MiB by default and 64 MiB here in the small server, a process takes more than the
 * sum: Node and LevelDB need 120 MiB, V8 collects late, and malloc keeps what its threads have freed.
 */
const DEFAULTS: Bounds = { flags: [], maxRssBytes: 640 * MIB }
const SMALL: Bounds = {
  flags: [`--queue-bytes=${32 * MIB}`, `--bodies-in-flight-bytes=${32 * MIB}`],
  maxRssBytes: 400 * MIB,
}

/** What one writer sends in one round; no two are the same. */
type MakeBatch = (writer: number, round: number) => Uint8Array

const batchOf =
  (count: number, length: number): MakeBatch =>
  (writer, round) =>
    encodeBundle(
      Array.from({ length: count }, (_, i) =>
        Buffer.from(`${length} ${writer} ${round} ${i} `.padEnd(length, '.')),
      ),
    )
const LARGE = batchOf(240, 65_000)
const TINY = batchOf(10_000, 60)

test.each([
  ['few and large', LARGE, DEFAULTS],
  ['many and tiny', TINY, DEFAULTS],
  ['few and large, on a small server', LARGE, SMALL],
])('memory stays bounded when the queue is full of entries that are %s', async (what, makeBatch, bounds) => {
  const { folder } = await makeLogFolder()
  const server = new ServerProcess(folder, { flags: bounds.flags })
  const url = prefix(await server.url)
  // Each from an address of its own: one caller alone never fills the queue.
  const answers = await flood(url, makeBatch, (writer) => `127.0.0.${writer + 2}`)
  const peak = peakRssBytes(server.pid)
  const counts = JSON.stringify(countsOf(answers))
  console.info(`overload, ${what}: peak RSS ${Math.round(peak / MIB)} MiB`, counts)
  expect(peak).toBeLessThan(bounds.maxRssBytes)
  expect(answers.some(({ status }) => status === 503)).toBe(true)
  checkRefusals(answers)

  // It is over when it is over: the next one gets in.
  const client = new Connection(url)
  expect((await client.ask('add', { method: 'POST', body: Buffer.from('calm') })).status).toBe(200)
  client.close()
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})

test('a caller that floods the server is told so, and others still get in', async () => {
  const { folder } = await makeLogFolder()
  const server = new ServerProcess(folder)
  const url = prefix(await server.url)
  let ended = false
  const flooding = flood(url, LARGE, () => '127.0.0.2').finally(() => (ended = true))
  const client = new Connection(url, { localAddress: '127.0.0.3' })
  let added = 0
  while (!ended) {
    const answer = await client.ask('add', { method: 'POST', body: Buffer.from(`other ${added}`) })
    expect(answer.status).toBe(200)
    added++
  }
  client.close()
  const answers = await flooding
  console.info(`overload by one caller: ${added} appends of another,`, JSON.stringify(countsOf(answers)))
  expect(answers.some(({ status }) => status === 429)).toBe(true)
  checkRefusals(answers)
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})

/** Batches from many connections at once, from each one after the other. */
async function flood(url: string, makeBatch: MakeBatch, from: (writer: number) => string): Promise<Answer[]> {
  const answers: Answer[] = []
  const write = async (writer: number): Promise<void> => {
    const connection = new Connection(url, { localAddress: from(writer) })
    for (let round = 0; round < ROUNDS; round++) {
      const headers = { 'content-type': 'application/vnd.c2sp.entry-bundle' }
      const body = makeBatch(writer, round)
      answers.push(await connection.ask('v1/batches', { method: 'POST', body, headers }))
    }
    connection.close()
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)))
  return answers
}

/** Whoever is refused is told when to come back. */
function checkRefusals(answers: readonly Answer[]): void {
  for (const { status, headers } of answers) {
    if (status === 200) continue
    expect(status).toBeOneOf([429, 503])
    expect(Number(headers['retry-after'])).toBeGreaterThan(0)
  }
}

function countsOf(answers: readonly Answer[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

/** The most memory that a process ever had. */
function peakRssBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024
}
