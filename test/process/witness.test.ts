import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { addToLogList } from '../../src/witness/log-list.ts'
import { createMirror, makeCopy } from '../../src/mirror/config.ts'
import { createWitness } from '../../src/witness/cosigner-folder.ts'
import { testFolder } from '../support/folder.ts'
import { FakeLog } from '../witness/fake-log.ts'
import { seedOfRun } from './random.ts'
import { CosignerProcess } from './cosigner-process.ts'
import { witnessRounds } from './witness-rounds.ts'

const LIMIT = { timeout: 60_000 }

test(
  'a witness that is killed between keeping and answering never goes back and never signs two histories',
  LIMIT,
  async () => {
    const report = await witnessRounds(4, seedOfRun('witness'))
    console.info('witness:', JSON.stringify(report))
    expect(report.rounds).toBe(4)
  },
)

test(
  'a second witness on the same folder names the lock and ends, and the first goes on',
  LIMIT,
  async () => {
    const folder = join(testFolder(), 'w')
    await createWitness(folder, 'witness.example/w1', [KEY_TYPE.ed25519Cosignature])
    const first = new CosignerProcess(folder)
    const url = await first.url
    const second = new CosignerProcess(folder)
    expect(await second.exited).toEqual({ code: EXIT_CODES.locked, signal: null })
    expect(second.output).toContain('another process has this witness open; stop it first')
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    expect(await first.stop()).toEqual({ code: 0, signal: null })
  },
)

test('SIGHUP has a witness and a mirror read their lists again, and ends neither', LIMIT, async () => {
  for (const kind of ['witness', 'mirror'] as const) {
    const folder = join(testFolder(), kind)
    if (kind === 'witness') await createWitness(folder, 'witness.example/w1', [KEY_TYPE.ed25519Cosignature])
    else await createMirror(folder, 'mirror.example/m1', [KEY_TYPE.ed25519Cosignature])
    const running = new CosignerProcess(folder, kind)
    const url = await running.url
    const list = join(folder, 'logs.json')
    const { asWitnessed } = new FakeLog(`log.example/${kind}`, 1)
    if (kind === 'mirror') await makeCopy(folder, asWitnessed.origin)
    await addToLogList(list, [], asWitnessed, kind)
    running.signal('SIGHUP')
    let page = ''
    while (!page.includes(asWitnessed.origin)) page = await (await fetch(`${url}/`)).text()
    writeFileSync(list, '{')
    running.signal('SIGHUP')
    while (!running.output.includes('CANNOT BE USED'))
      expect((await fetch(`${url}/healthz`)).status).toBe(200)
    expect(await (await fetch(`${url}/`)).text()).toBe(page)
    expect(await running.stop()).toEqual({ code: 0, signal: null })
  }
})
