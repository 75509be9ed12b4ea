import { join } from 'node:path'
import { expect, test } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { testFolder } from '../support/folder.ts'
import { ServerProcess } from '../support/process.ts'
import { makeLogFolder, prefix } from './log-folder.ts'
import { MonitorProcess } from './monitor-process.ts'
import { monitorRounds } from './monitor-rounds.ts'
import { seedOfRun } from './random.ts'

const LIMIT = { timeout: 120_000 }

test('a monitor that is killed at random moments under load skips no entry that matches', LIMIT, async () => {
  const report = await monitorRounds(6, seedOfRun('monitor'))
  console.info('monitor:', JSON.stringify(report))
  expect(report.rounds).toBe(6)
})

test(
  'a second monitor on one state folder is refused, until the first one is gone, killed or not',
  LIMIT,
  async () => {
    const log = await makeLogFolder()
    const server = new ServerProcess(log.folder)
    const flags = [prefix(await server.url), '--key', log.verifierKey, '--state', join(testFolder(), 'state')]
    const first = new MonitorProcess(flags)
    await first.watching
    for (const again of [flags, [...flags, '--once']]) {
      const second = new MonitorProcess(again)
      expect(await second.exited).toEqual({ code: EXIT_CODES.locked, signal: null })
      expect(second.output).toContain('another monitor uses this state folder')
    }
    await first.kill()
    const third = new MonitorProcess(flags)
    await third.watching
    expect(await third.stop()).toEqual({ code: 0, signal: null })
  },
)
