import { expect, test } from 'vitest'
import { accessRounds } from '../process/access-rounds.ts'
import { seedOfRun } from '../process/random.ts'

test('a server with keys that is killed sixty times keeps its entries, its keys, and a line of every request', async () => {
  const startedMs = performance.now()
  const report = await accessRounds(60, seedOfRun('access'))
  console.info('access:', JSON.stringify(report), `${Math.round((performance.now() - startedMs) / 1000)} s`)
  expect(report.rounds).toBe(60)
})
