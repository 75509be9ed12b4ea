import { expect, test } from 'vitest'
import { monitorRounds } from '../process/monitor-rounds.ts'
import { seedOfRun } from '../process/random.ts'

test('a monitor that is killed a hundred times under load skips no entry that matches', async () => {
  const report = await monitorRounds(100, seedOfRun('monitor'))
  console.info('monitor:', JSON.stringify(report))
  expect(report.killedAtWork).toBeGreaterThan(0)
})
