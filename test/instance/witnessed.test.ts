import { rmSync, writeFileSync } from 'node:fs'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { verifyProofFile } from '../../src/client/verify.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { openWithPolicy } from '../../src/policy/evaluate.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createLog, initDataFolder, logFiles, type LogInfo } from '../../src/instance/data-folder.ts'
import { startServer, type RunningServer } from '../../src/server/start.ts'
import { witnessOptions } from '../../src/witness/cosigner-config.ts'
import { createWitness, readCosignerKeys, witnessFiles } from '../../src/witness/cosigner-folder.ts'
import { addToLogList } from '../../src/witness/log-list.ts'
import { startWitness, type RunningWitness } from '../../src/witness/start.ts'
import { verifiersOf } from '../../src/witness/keys.ts'
import { testFolder } from '../support/folder.ts'

const SILENT = pino({ level: 'silent' })
const ORIGIN = 'log.example/witnessed'

interface WitnessSetup {
  readonly folder: string
  readonly running: RunningWitness
  readonly vkey: string
}

async function makeWitness(name: string, log: LogInfo): Promise<WitnessSetup> {
  const folder = `${testFolder()}/witness`
  const info = await createWitness(folder, name, [KEY_TYPE.ed25519Cosignature])
  const own = verifiersOf(await readCosignerKeys(folder, info))
  await addToLogList(witnessFiles(folder).logs, own, {
    origin: ORIGIN,
    keys: [parseVerifierKey(log.verifierKey)],
  })
  return { folder, running: await runWitness(folder), vkey: info.verifierKeys[0]! }
}

async function runWitness(folder: string, port = '0'): Promise<RunningWitness> {
  const running = await startWitness(witnessOptions.load({ flags: { data: folder, port } }), SILENT)
  onTestFinished(() => running.close().catch(() => {}))
  return running
}

async function runLog(folder: string): Promise<RunningServer> {
  const flags = { data: folder, port: '0', 'witness-timeout-seconds': '1', open: true, 'log-level': 'silent' }
  const server = await startServer(loadConfig({ flags }), SILENT)
  onTestFinished(() => server.close().catch(() => {}))
  return server
}

/** A log with a policy of two out of three witnesses, all of them real servers. */
async function setUp(): Promise<{ folder: string; witnesses: WitnessSetup[]; policy: string }> {
  const folder = `${testFolder()}/data`
  await initDataFolder(folder)
  const info = await createLog(folder, {
    name: 'main',
    origin: ORIGIN,
    allowDuplicates: false,
    reads: 'public',
  })
  const witnesses = await Promise.all(['a', 'b', 'c'].map((n) => makeWitness(`witness.example/${n}`, info)))
  const policy = [
    `log ${info.verifierKey}`,
    ...witnesses.map(({ vkey, running }, i) => `witness w${i} ${vkey} ${running.url}`),
    'group two 2 w0 w1 w2',
    'quorum two',
    '',
  ].join('\n')
  writeFileSync(logFiles(folder, 'main').policy, policy)
  return { folder, witnesses, policy }
}

const post = (server: RunningServer, path: string, body: string): Promise<Response> =>
  fetch(`${server.url}/logs/main/${path}`, { method: 'POST', body })

async function serving(server: RunningServer): Promise<void> {
  await expect.poll(() => server.host.get('main')?.log?.status.state, { timeout: 10_000 }).toBe('serving')
}

test('a receipt waits for two of three witnesses, and its proof satisfies their policy offline', async () => {
  const { folder, policy } = await setUp()
  const server = await runLog(folder)
  await serving(server)
  for (const text of ['one', 'two', 'three']) {
    const answer = await post(server, 'v1/entries?proof=true', text)
    expect(answer.status).toBe(200)
    const { proof } = (await answer.json()) as { proof: string }
    const entry = new TextEncoder().encode(text)
    const verified = verifyProofFile({ proof, entry, policy: parsePolicy(policy) })
    expect(verified).toMatchObject({ verdict: 'verified', origin: ORIGIN })
    expect('cosignedBy' in verified && verified.cosignedBy.length).toBeGreaterThanOrEqual(2)
  }
})

test('with one of three witnesses left entries are integrated and not published, until another is back', async () => {
  const { folder, witnesses } = await setUp()
  const server = await runLog(folder)
  await serving(server)
  await post(server, 'v1/entries?wait=published', 'one')
  await witnesses[1]!.running.close()
  await witnesses[2]!.running.close()
  const late = await post(server, 'v1/entries?wait=published&timeout=1', 'two')
  expect(late.status).toBe(202)
  const checkpoint = await (await fetch(`${server.url}/logs/main/checkpoint`)).text()
  expect(checkpoint.split('\n')[1]).toBe('1')
  expect((await fetch(`${server.url}/logs/main/v1/entries/1`)).status).toBe(404)
  await runWitness(witnesses[1]!.folder, new URL(witnesses[1]!.running.url).port)
  const again = await post(server, 'v1/entries?wait=published&timeout=10', 'two')
  expect(again.status).toBe(200)
  expect(await again.json()).toMatchObject({ index: 1, duplicate: true })
})

test('a log that was put back to a backup is stopped by its witnesses before it signs anything', async () => {
  const { folder } = await setUp()
  const { cpSync, rmSync } = await import('node:fs')
  const first = await runLog(folder)
  await serving(first)
  await post(first, 'v1/entries?wait=published', 'one')
  await first.close()
  const backup = `${testFolder()}/backup`
  cpSync(folder, backup, { recursive: true })
  const second = await runLog(folder)
  await serving(second)
  await post(second, 'v1/entries?wait=published', 'two')
  await second.close()
  rmSync(folder, { recursive: true })
  cpSync(backup, folder, { recursive: true })

  const restored = await runLog(folder)
  await expect.poll(() => restored.host.get('main')?.log?.status.state, { timeout: 10_000 }).toBe('halted')
  expect(restored.host.get('main')?.failure?.message).toMatch(/has cosigned size 2 of this log.*is 1/)
  const refused = await post(restored, 'v1/entries', 'three')
  expect(refused.status).toBe(503)
  expect(await refused.json()).toMatchObject({ code: 'log_halted' })
  expect(restored.host.get('main')?.log?.integrated.size).toBe(1)
})

test('a log whose published head is lost shows none before its witnesses have cosigned the newest one', async () => {
  const { folder, witnesses, policy } = await setUp()
  const server = await runLog(folder)
  await serving(server)
  expect((await post(server, 'v1/entries?wait=published', 'a')).status).toBe(200)
  await server.close()
  for (const { running } of witnesses) await running.close()
  rmSync(logFiles(folder, 'main').published)
  await expect(runLog(folder)).rejects.toMatchObject({
    code: 'quorum_not_met',
    message: expect.stringContaining('"published" is lost') as string,
  })
  for (const { folder: own, running } of witnesses) await runWitness(own, new URL(running.url).port)
  const again = await runLog(folder)
  const note = await (await fetch(`${again.url}/logs/main/checkpoint`)).text()
  expect(openWithPolicy(note, parsePolicy(policy)).checkpoint.size).toBe(1)
})
