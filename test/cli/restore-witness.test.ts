import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { witnessOptions } from '../../src/witness/cosigner-config.ts'
import { createWitness, readCosignerKeys, witnessFiles } from '../../src/witness/cosigner-folder.ts'
import { addToLogList } from '../../src/witness/log-list.ts'
import { startWitness, type RunningWitness } from '../../src/witness/start.ts'
import { verifiersOf } from '../../src/witness/keys.ts'
import { originHash } from '../../src/witness/logs.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, lines, ORIGIN, serve, stele, type Ran } from './fixture.ts'
import { serveFolder } from './static-server.ts'

async function makeWitness(key: string): Promise<{ running: RunningWitness; vkey: string }> {
  const folder = join(testFolder(), 'witness')
  const info = await createWitness(folder, 'witness.example/w', [KEY_TYPE.ed25519Cosignature])
  const own = verifiersOf(await readCosignerKeys(folder, info))
  await addToLogList(witnessFiles(folder).logs, own, { origin: ORIGIN, keys: [parseVerifierKey(key)] })
  const config = witnessOptions.load({ flags: { data: folder, port: '0' } })
  const running = await startWitness(config, pino({ level: 'silent' }))
  onTestFinished(() => running.close().catch(() => {}))
  return { running, vkey: info.verifierKeys[0]! }
}

/** A witnessed log that was saved at 300 entries, while it was served, and lost at 400. */
async function stage(at300: (witnessUrl: string) => Promise<void> = async () => {}) {
  const folder = await dataFolder()
  const { data, key } = folder
  const { running, vkey } = await makeWitness(key)
  writeFileSync(join(data, 'logs/main/policy'), `log ${key}\nwitness w1 ${vkey} ${running.url}\nquorum w1\n`)
  const backup = join(testFolder(), 'backup')
  const mirror = join(testFolder(), 'mirror')
  const server = await serve(folder)
  const serving = () => server.server.host.get('main')?.log?.status.state
  await expect.poll(serving, { timeout: 10_000 }).toBe('serving')
  await append(server.url, 300)
  await stele(['backup', 'main', '--data', data, '--url', server.url, '--to', backup, '--with-keys'])
  await at300(running.url)
  await append(server.url, 400)
  await stele(['export', mirror, ...server.flags])
  await server.stop()
  const to = join(testFolder(), 'restored')
  const restore = (...more: string[]): Promise<Ran> =>
    stele(['restore', 'main', '--data', to, '--from', backup, '--json', ...more])
  return { data, key, running, backup, mirror, to, restore }
}

/** Has the first `size` lines logged, and waits until the witness has cosigned them. */
async function append(url: string, size: number): Promise<void> {
  const answer = await fetch(`${url}/v1/batches?wait=published`, {
    method: 'POST',
    body: lines(size),
    headers: { 'content-type': 'application/x-ndjson' },
  })
  expect(answer.status).toBe(200)
}

test('a witness that saw more keeps a backup from going live, until it has caught up', async () => {
  const { restore, mirror, to, data, key } = await stage()
  const refused = await restore()
  expect(refused.code).toBe(17)
  expect(refused.err).toMatch(/ends at size 300.*witness w1.*size 400/)
  rmSync(data, { recursive: true })
  const caughtUp = await restore('--not-frozen', '--catch-up', await serveFolder(mirror))
  expect([caughtUp.code, caughtUp.err]).toEqual([0, ''])
  expect(JSON.parse(caughtUp.out)).toMatchObject({ treeSize: 400, withoutWitnesses: [] })
  // It is served, its witness agrees, and it goes on.
  const server = await serve({ data: to, key })
  const serving = () => server.server.host.get('main')?.log?.status.state
  await expect.poll(serving, { timeout: 10_000 }).toBe('serving')
  await append(server.url, 500)
  const pinned = ['--pinned', join(mirror, 'checkpoint'), '--key', key]
  expect((await stele(['audit', server.url, ...pinned])).code).toBe(0)
})

test('a witness that does not answer is named, and left out only by name and visibly', async () => {
  const { restore, running } = await stage()
  await running.close()
  const refused = await restore()
  expect([refused.code, refused.err]).toEqual([20, expect.stringContaining('--without-witness w1')])
  expect((await restore('--without-witness', 'w2')).code).toBe(2)
  const restored = await restore('--without-witness', 'w1')
  expect(restored.code).toBe(0)
  expect(JSON.parse(restored.out)).toMatchObject({ treeSize: 300, withoutWitnesses: ['w1'] })
  expect(restored.err).toContain('witness w1 was not asked')
})

test.each([429, 503, 404, 500])(
  'an old public checkpoint of a witness that answers add-checkpoint with %i is no answer',
  async (status) => {
    const path = `/${originHash(ORIGIN)}/checkpoint`
    let old = ''
    const { restore, running } = await stage(async (url) => {
      old = await (await fetch(`${url}${path}`)).text()
    })
    expect(old).toContain(`${ORIGIN}\n300\n`)
    await running.close()
    const busy = createServer((req, res) => {
      const shown = req.url === path
      res.writeHead(shown ? 200 : status, { 'content-type': 'text/plain' }).end(shown ? old : 'busy')
    })
    await once(busy.listen(Number(new URL(running.url).port), '127.0.0.1'), 'listening')
    onTestFinished(() => void busy.close())
    const refused = await restore()
    expect([refused.code, refused.err]).toEqual([20, expect.stringContaining('--without-witness w1')])
    expect(refused.err).toContain(String(status))
  },
)

test('the witness of a log that was saved to its end confirms it', async () => {
  const { data, to, running, key } = await stage()
  const backup = join(testFolder(), 'last')
  await stele(['backup', 'main', '--data', data, '--to', backup, '--with-keys'])
  const restored = await stele(['restore', 'main', '--data', to, '--from', backup, '--json'])
  expect([restored.code, restored.err]).toEqual([0, ''])
  const { compared } = JSON.parse(restored.out) as { compared: { source: string; size: number }[] }
  expect(compared.at(-1)).toEqual({ source: 'witness w1', size: 400 })
  expect(running.url).toBeTruthy()
  // What readers see first is what was cosigned before.
  const server = await serve({ data: to, key })
  const note = await (await fetch(`${server.url}/checkpoint`)).text()
  expect(note).toContain('witness.example/w')
})
