import { request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { ServerProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { Examiner } from './examiner.ts'
import { Ledger } from './ledger.ts'
import { Load } from './load.ts'
import { makeLogFolder, prefix } from './log-folder.ts'
import { Random, seedOfRun } from './random.ts'
import { submit, type Outcome } from './submission.ts'

const LIMIT = { timeout: 60_000 }
const STOP_MS = 5000

test(
  'a stop under load answers every request of an open connection, and loses no receipt',
  LIMIT,
  async () => {
    const log = await makeLogFolder()
    const ledger = new Ledger()
    const server = new ServerProcess(log.folder)
    const random = new Random(seedOfRun('stop'))
    const load = new Load({ url: prefix(await server.url), ledger, random, writers: 16, name: 'stop' })
    await vi.waitUntil(() => load.outcomes.length > 100, { timeout: 30_000 })
    const stoppedMs = performance.now()
    expect(await server.stop()).toEqual({ code: 0, signal: null })
    expect(performance.now() - stoppedMs).toBeLessThan(STOP_MS)
    await load.done
    expect([...load.readStatuses].filter((status) => ![200, 503].includes(status))).toEqual([])

    const again = new ServerProcess(log.folder)
    const examiner = new Examiner(log, ledger)
    await examiner.examine(prefix(await again.url))
    console.info('stop:', JSON.stringify(counted(load.outcomes)), JSON.stringify(examiner.tally))
    for (const { status, code, submission } of load.outcomes) {
      if (status === 200) continue
      expect(status === undefined ? 'ECONNREFUSED' : 'shutting_down').toBe(code)
      const unlogged = submission.entries.filter((entry) => !acknowledged(ledger, entry))
      expect(unlogged.filter((entry) => examiner.twin.indexOf(entry) !== undefined)).toEqual([])
    }
    expect(await again.stop()).toEqual({ code: 0, signal: null })
  },
)

test(
  'what comes on kept-alive connections while a server stops is answered, by a refusal if need be',
  LIMIT,
  async () => {
    const log = await makeLogFolder()
    const server = new ServerProcess(log.folder)
    const url = prefix(await server.url)
    const connections = Array.from({ length: 40 }, () => new Connection(url))
    const add = (connection: Connection, entry: string) =>
      submit(connection, { route: 'v1/entries', entries: [entry] }, new Ledger())
    await Promise.all(connections.map((connection, i) => add(connection, `before ${i}`)))

    server.signal('SIGTERM')
    const statuses = await Promise.all(
      connections.map(async (connection, i) => {
        await wait(2 * i)
        if (i % 2 === 0) return (await connection.ask('v1/entries/0')).status
        return (await add(connection, `after ${i}`)).status
      }),
    )
    expect(statuses).toContain(503)
    expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([])
    expect(await server.exited).toEqual({ code: 0, signal: null })
  },
)

test(
  'idle connections, half a request and a long poll do not keep a server from stopping',
  LIMIT,
  async () => {
    const log = await makeLogFolder()
    const server = new ServerProcess(log.folder)
    const url = prefix(await server.url)
    const port = Number(new URL(url).port)
    const idle = connect(port, '127.0.0.1')
    const half = request(`${url}add`, { method: 'POST', headers: { 'content-length': 10 } })
    const cut = new Promise((resolve) => half.on('error', resolve).on('response', resolve))
    half.write('half')
    const poll = new Connection(url).ask('v1/checkpoint?after=0&timeout=60')
    // Answered on a later connection, so the server has seen the ones before.
    expect((await new Connection(url).ask('checkpoint')).status).toBe(200)

    const stoppedMs = performance.now()
    expect(await server.stop()).toEqual({ code: 0, signal: null })
    expect(performance.now() - stoppedMs).toBeLessThan(STOP_MS)
    expect((await poll).status).toBe(204)
    await cut
    idle.destroy()
  },
)

function acknowledged(ledger: Ledger, entry: string): boolean {
  return ledger.receipts.some((receipt) => receipt.entry === entry)
}

/** How many outcomes there were of each kind. */
function counted(outcomes: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { status, code } of outcomes) {
    const kind = code ?? String(status)
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  return counts
}
