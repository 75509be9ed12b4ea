import { expect, test } from 'vitest'
import { mirrorRounds } from '../process/mirror-rounds.ts'
import { seedOfRun } from '../process/random.ts'

test('a mirror that is killed sixty times serves whole copies of one history', async () => {
  const startedMs = performance.now()
  const report = await mirrorRounds(60, seedOfRun('mirror'))
  console.info('mirror:', JSON.stringify(report), `${Math.round((performance.now() - startedMs) / 1000)} s`)
  expect(report.rounds).toBe(60)
  expect(report.statements).toBeGreaterThan(60)
})
