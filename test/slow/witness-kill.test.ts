import { expect, test } from 'vitest'
import { seedOfRun } from '../process/random.ts'
import { witnessRounds } from '../process/witness-rounds.ts'

test('a witness that is killed a hundred times never goes back and never signs two histories', async () => {
  const startedMs = performance.now()
  const report = await witnessRounds(100, seedOfRun('witness'))
  console.info('witness:', JSON.stringify(report), `${Math.round((performance.now() - startedMs) / 1000)} s`)
  expect(report.rounds).toBe(100)
})
