import { join } from 'node:path'
import { expect, test } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { addToLogList } from '../../src/witness/log-list.ts'
import { createMirror, makeCopy, mirrorFiles } from '../../src/mirror/config.ts'
import { FakeLog } from '../client/fake-log.ts'
import { asMirrored } from '../mirror/fixture.ts'
import { testFolder } from '../support/folder.ts'
import { CosignerProcess } from './cosigner-process.ts'
import { mirrorRounds } from './mirror-rounds.ts'
import { seedOfRun } from './random.ts'

const LIMIT = { timeout: 90_000 }

test(
  'a mirror that is killed while it follows and while others upload serves whole copies of one history',
  LIMIT,
  async () => {
    const report = await mirrorRounds(3, seedOfRun('mirror'))
    console.info('mirror:', JSON.stringify(report))
    expect(report.rounds).toBe(3)
    expect(report.statements).toBeGreaterThan(0)
  },
)

test('a second mirror on the same folder ends, and the first goes on', LIMIT, async () => {
  const folder = join(testFolder(), 'm')
  const log = new FakeLog()
  await createMirror(folder, 'mirror.example/m1', [KEY_TYPE.ed25519Cosignature])
  await makeCopy(folder, log.origin)
  await addToLogList(mirrorFiles(folder).logs, [], asMirrored(log), 'mirror')
  const first = new CosignerProcess(folder, 'mirror')
  const url = await first.url
  const second = new CosignerProcess(folder, 'mirror')
  expect(await second.exited).toEqual({ code: EXIT_CODES.locked, signal: null })
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
  expect(await first.stop()).toEqual({ code: 0, signal: null })
})
