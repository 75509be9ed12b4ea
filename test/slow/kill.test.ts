import { expect, test } from 'vitest'
import { killRounds } from '../process/kill-rounds.ts'
import { seedOfRun } from '../process/random.ts'

test('a server that is killed a hundred times under load keeps everything that it acknowledged', async () => {
  const startedMs = performance.now()
  const report = await killRounds(100, seedOfRun('kill'))
  console.info('kill:', JSON.stringify(report), `${Math.round((performance.now() - startedMs) / 1000)} s`)
  expect(report.rounds).toBe(100)
})
