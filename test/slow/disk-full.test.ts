import { rmSync, statSync, truncateSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { Connection } from '../process/connection.ts'
import { Examiner } from '../process/examiner.ts'
import { Ledger } from '../process/ledger.ts'
import { makeLogFolder, prefix } from '../process/log-folder.ts'
import { submit, type Outcome } from '../process/submission.ts'
import { fill, mountedDisk, whyNoMount } from '../support/disk.ts'
import { ServerProcess } from '../support/process.ts'

const MIB = 1024 * 1024
/** Room for the log, and for what the server wants to see before it is ready. */
const DISK_MIB = 160
const MIN_FREE_MIB = 64
const LIMITS = { env: { STELE_MIN_FREE_BYTES: String(MIN_FREE_MIB * MIB) } }
/** More than a log waits for, and less than makes the server ready. */
const SOME_ROOM_MIB = 40
/** The server's first attempt to open a halted log again comes after two seconds. */
const PAST_FIRST_ATTEMPT_MS = 3000

const missing = whyNoMount()
if (missing !== undefined) console.info(`disk full: skipped, for ${missing}`)

test.skipIf(missing !== undefined)(
  'a full disk halts the log by name, costs no reader and no receipt, and the log comes back when there is room',
  async () => {
    const disk = mountedDisk(DISK_MIB)
    const log = await makeLogFolder(disk)
    const ledger = new Ledger()
    const server = new ServerProcess(log.folder, LIMITS)
    const at = await server.url
    const [connection, instance] = [new Connection(prefix(at)), new Connection(at)]
    const examiner = new Examiner(log, ledger)
    const ready = () => instance.ask('/readyz')

    fill(disk, 2 * MIB)
    const last = await appendUntilRefused(connection, ledger)
    expect(last).toMatchObject({ status: 503, code: 'outcome_unknown' })
    const refused = await connection.ask('v1/entries', { method: 'POST', body: Buffer.from('refused') })
    expect(refused.status).toBe(503)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect(JSON.parse(String(refused.body))).toMatchObject({ code: 'log_halted' })

    // Halted: it says why, and serves all that it ever served. The failed commit may be on the disk, unpublished.
    const { logs } = await instance.json<{ logs: object[] }>('/v1/logs')
    expect(logs).toMatchObject([
      { state: 'halted', reason: expect.stringContaining('No space left') as string },
    ])
    expect((await instance.ask('/healthz')).status).toBe(200)
    expect(await ready()).toMatchObject({ status: 503 })
    await examiner.examine(prefix(at))
    await wait(PAST_FIRST_ATTEMPT_MS)
    expect(await ready()).toMatchObject({ status: 503 })
    await new Examiner(log, ledger).examine(prefix(at))

    // It says what it waits for, and comes back with that, while the disk is still said to have too little.
    const waitsFor = `opened again when the disk of the data folder has ${(MIN_FREE_MIB / 4) * MIB} bytes free`
    expect(String((await ready()).body)).toContain(waitsFor)
    const halted = await instance.json<{ logs: object[] }>('/v1/logs')
    expect(halted.logs).toMatchObject([{ reason: expect.stringContaining(waitsFor) as string }])
    expect(server.output).toContain(`"neededBytes":${(MIN_FREE_MIB / 4) * MIB}`)
    truncateSync(`${disk}/filler`, statSync(`${disk}/filler`).size - SOME_ROOM_MIB * MIB)
    const state = async (): Promise<unknown> =>
      (await instance.json<{ logs: { state: string }[] }>('/v1/logs')).logs[0]!.state
    await vi.waitUntil(async () => (await state()) === 'serving', { timeout: 60_000, interval: 100 })
    expect(await ready()).toMatchObject({ status: 503 })
    rmSync(`${disk}/filler`)
    await vi.waitUntil(async () => (await ready()).status === 200, { timeout: 60_000, interval: 100 })
    for (const entry of ['refused', ...ledger.unacknowledged]) {
      const outcome = await submit(connection, { route: 'v1/entries', entries: [entry] }, ledger)
      expect(outcome).toMatchObject({ status: 200 })
    }
    await examiner.examine(prefix(at))
    expect(examiner.twin.size).toBe(ledger.submitted)
    console.info('disk full:', JSON.stringify(examiner.tally))
    connection.close()
    instance.close()
    expect(await server.stop()).toEqual({ code: 0, signal: null })

    // Nor can a log be opened on a full disk; it is as it was when there is room again.
    fill(disk, 0)
    const full = new ServerProcess(log.folder, LIMITS)
    expect(await full.exited).toEqual({ code: EXIT_CODES.io_error, signal: null })
    expect(full.output).toMatch(/No space left on device/)
    rmSync(`${disk}/filler`)
    const again = new ServerProcess(log.folder, LIMITS)
    await new Examiner(log, ledger).examine(prefix(await again.url))
  },
)

async function appendUntilRefused(connection: Connection, ledger: Ledger): Promise<Outcome> {
  for (let i = 0; i < 1000; i++) {
    const entries = [`entry ${i} `.padEnd(60_000, '.')]
    const outcome = await submit(connection, { route: 'v1/entries', entries }, ledger)
    if (outcome.status !== 200) return outcome
  }
  throw new Error('the disk did not get full')
}
