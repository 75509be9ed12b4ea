import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { openWithPolicy } from '../../src/policy/evaluate.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createWitness, readCosignerKeys, witnessFiles } from '../../src/witness/cosigner-folder.ts'
import { logFiles, readLogInfo } from '../../src/instance/data-folder.ts'
import { addToLogList } from '../../src/witness/log-list.ts'
import { startServer } from '../../src/server/start.ts'
import { witnessOptions } from '../../src/witness/cosigner-config.ts'
import { startWitness, type RunningWitness } from '../../src/witness/start.ts'
import { verifiersOf } from '../../src/witness/keys.ts'
import { Instance } from '../access/instance.ts'
import { stele } from '../cli/fixture.ts'
import { testFolder } from '../support/folder.ts'

const SILENT = pino({ level: 'silent' })

interface MetaWitness {
  readonly folder: string
  readonly running: RunningWitness
  readonly policy: string
}

async function runWitness(folder: string, port = '0'): Promise<RunningWitness> {
  const running = await startWitness(witnessOptions.load({ flags: { data: folder, port } }), SILENT)
  onTestFinished(() => running.close().catch(() => {}))
  return running
}

/** A witness of the meta log of an instance, and a policy that asks for it. */
async function witnessOf(at: Instance): Promise<MetaWitness> {
  const folder = `${testFolder()}/witness`
  const { origin, verifierKey } = await readLogInfo(at.folder, 'meta')
  const info = await createWitness(folder, 'witness.example/w', [KEY_TYPE.ed25519Cosignature])
  const own = verifiersOf(await readCosignerKeys(folder, info))
  await addToLogList(witnessFiles(folder).logs, own, { origin, keys: [parseVerifierKey(verifierKey)] })
  const running = await runWitness(folder)
  const policy = `log ${verifierKey}\nwitness w ${info.verifierKeys[0]} ${running.url}\nquorum w\n`
  return { folder, running, policy }
}

const again = ({ folder, running }: MetaWitness): Promise<RunningWitness> =>
  runWitness(folder, new URL(running.url).port)

const metaOf = (at: Instance) => at.server.host.get('meta')!

/** Waits until everything that the trail holds has been cosigned. */
async function cosigned(at: Instance, { policy }: MetaWitness): Promise<void> {
  await expect
    .poll(
      () => {
        const { log } = metaOf(at)
        if (!log || log.published.size < log.integrated.size) return false
        return openWithPolicy(log.published.checkpoint, parsePolicy(policy)) !== undefined
      },
      { timeout: 10_000 },
    )
    .toBe(true)
}

async function witnessed(): Promise<{ at: Instance; witness: MetaWitness }> {
  const at = await Instance.started()
  const witness = await witnessOf(at)
  expect(await at.manage('/v1/logs/meta/policy', { policy: witness.policy })).toMatchObject({ status: 200 })
  await cosigned(at, witness)
  return { at, witness }
}

test('a running server gives its trail a policy: the change has its line, and heads are cosigned from then on', async () => {
  const { at, witness } = await witnessed()
  const writer = await at.key('writer')
  for (let i = 0; i < 5; i++)
    expect((await at.ask('POST', '/logs/main/v1/entries', writer, `${i}`)).status).toBe(200)
  await cosigned(at, witness)
  await at.stop()
  const lines = await at.lines('admin')
  expect(lines.find(({ act }) => act === 'log_set_policy')).toMatchObject({
    log: 'meta',
    before: null,
    after: { policy: witness.policy },
  })
  expect(await at.changedAtStart()).toEqual([])
})

test('lines of requests that come while the policy changes wait for it, and none is lost', async () => {
  const at = await Instance.started()
  const witness = await witnessOf(at)
  const writer = await at.key('writer')
  const append = (i: number) => at.ask('POST', '/logs/main/v1/entries', writer, `entry ${i}`)
  const before = Array.from({ length: 20 }, (_, i) => append(i))
  const change = at.manage('/v1/logs/meta/policy', { policy: witness.policy })
  const behind = Array.from({ length: 20 }, (_, i) => append(20 + i))
  const statuses = (await Promise.all([...before, change, ...behind])).map(({ status }) => status)
  expect(new Set(statuses)).toEqual(new Set([200]))
  await at.stop()
  const lines = await at.lines('request')
  expect(lines.filter(({ route }) => route === 'POST /logs/{log}/v1/entries')).toHaveLength(40)
})

test('with its witness down the trail goes on, also after a restart, and is cosigned when the witness is back', async () => {
  const { at, witness } = await witnessed()
  const writer = await at.key('writer')
  await cosigned(at, witness)
  await witness.running.close()
  expect((await at.ask('POST', '/logs/main/v1/entries', writer, 'one')).status).toBe(200)
  await at.stop()
  await at.start()
  expect((await at.ask('POST', '/logs/main/v1/entries', writer, 'two')).status).toBe(200)
  const { log } = metaOf(at)
  expect(log!.status.state).toBe('serving')
  expect(log!.published.size).toBeLessThan(log!.integrated.size)
  await again(witness)
  await cosigned(at, witness)
})

test('a witness that takes connections and never answers delays the trail, and does not stop the server', async () => {
  const { at, witness } = await witnessed()
  const writer = await at.key('writer')
  await at.stop()
  await witness.running.close()
  const taken = new Set<Socket>()
  const silent = createServer((socket) => void taken.add(socket.on('error', () => {})))
  const port = Number(new URL(witness.running.url).port)
  await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve))
  const flags = { data: at.folder, port: 0, 'witness-timeout-seconds': '60', 'log-level': 'silent' }
  const server = await startServer(loadConfig({ flags }), SILENT)
  onTestFinished(() => server.close())
  const append = () =>
    fetch(`${server.url}/logs/main/add`, {
      method: 'POST',
      headers: { authorization: `Bearer ${writer}` },
      body: 'late',
    })
  expect((await fetch(`${server.url}/logs/main/checkpoint`)).status).toBe(200)
  const early = await append()
  expect(early.status).toBe(503)
  expect(await early.json()).toMatchObject({ code: 'untraceable' })
  silent.close()
  for (const socket of taken) socket.destroy()
  await expect.poll(async () => (await append()).status, { timeout: 20_000, interval: 100 }).toBe(200)
})

test('a trail that was put back to a backup is stopped before it signs anything', async () => {
  const { at, witness } = await witnessed()
  const writer = await at.key('writer')
  await at.stop()
  const backup = `${testFolder()}/backup`
  cpSync(at.folder, backup, { recursive: true })
  await at.start()
  for (let i = 0; i < 3; i++) await at.ask('POST', '/logs/main/v1/entries', writer, `${i}`)
  await cosigned(at, witness)
  await at.stop()
  rmSync(at.folder, { recursive: true })
  cpSync(backup, at.folder, { recursive: true })

  await at.start()
  await expect.poll(() => metaOf(at).log?.status.state, { timeout: 10_000 }).toBe('halted')
  expect(metaOf(at).failure?.message).toMatch(/has cosigned size \d+ of this log/)
  const { size } = metaOf(at).log!.integrated
  const refused = await at.ask('POST', '/logs/main/v1/entries', writer, 'more')
  expect(refused).toMatchObject({ status: 503, body: { code: 'untraceable' } })
  expect(metaOf(at).log!.integrated.size).toBe(size)
  expect((await fetch(`${at.url}/logs/main/checkpoint`)).status).toBe(200)
})

test('a trail that was put back while its witness was down is stopped when the witness is back, however long it has grown', async () => {
  const { at, witness } = await witnessed()
  const writer = await at.key('writer')
  await at.stop()
  const backup = `${testFolder()}/backup`
  cpSync(at.folder, backup, { recursive: true })
  await at.start()
  await at.ask('POST', '/logs/main/v1/entries', writer, 'seen by the witness')
  await cosigned(at, witness)
  const seen = metaOf(at).log!.integrated.size
  await at.stop()
  await witness.running.close()
  rmSync(at.folder, { recursive: true })
  cpSync(backup, at.folder, { recursive: true })

  await at.start()
  for (let i = 0; metaOf(at).log!.integrated.size <= seen + 3; i++)
    await at.ask('POST', '/logs/main/v1/entries', writer, `${i}`)
  await again(witness)
  await expect.poll(() => metaOf(at).log?.status.state, { timeout: 15_000 }).toBe('halted')
  expect(metaOf(at).failure?.message).toMatch(/another history/)
  expect((await at.ask('POST', '/logs/main/v1/entries', writer, 'more')).status).toBe(503)
})

test('the command sets the policy of the trail of a stopped server, and takes it away', async () => {
  const at = await Instance.make()
  const witness = await witnessOf(at)
  const file = `${testFolder()}/policy`
  writeFileSync(file, witness.policy)
  const set = await stele(['log', 'set-policy', 'meta', file, '--data', at.folder])
  expect([set.code, set.err]).toEqual([0, expect.not.stringMatching(/error/i)])
  await at.start()
  await cosigned(at, witness)
  await at.stop()
  expect((await stele(['log', 'set-policy', 'meta', '--none', '--data', at.folder])).code).toBe(0)
  const acts = (await at.lines('admin')).filter(({ act }) => act === 'log_set_policy')
  expect(acts.map(({ log, by }) => [log, by])).toEqual([
    ['meta', 'host'],
    ['meta', 'host'],
  ])
  expect(await at.changedAtStart()).toEqual([])
  expect(logFiles(at.folder, 'meta').policy).toMatch(/policy$/)
})
