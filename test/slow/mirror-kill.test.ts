import { expect, test } from 'vitest'
import { mirrorRounds } from '../process/mirror-rounds.ts'
import { seedOfRun } from '../process/random.ts'

test('a mirror that is killed forty times serves whole copies of one history', async () => {
  const startedMs = performance.now()
  const report = await mirrorRounds(40, seedOfRun('mirror'))
  console.info('mirror:', JSON.stringify(report), `${Math.round((performance.now() - startedMs) / 1000)} s`)
  expect(report.rounds).toBe(40)
  expect(report.statements).toBeGreaterThan(40)
})
