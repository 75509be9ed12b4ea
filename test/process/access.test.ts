import { expect, test } from 'vitest'
import { accessRounds } from './access-rounds.ts'
import { seedOfRun } from './random.ts'

test(
  'a server with keys that is killed at random moments keeps its entries, its keys, and a line of every request',
  { timeout: 60_000 },
  async () => {
    const report = await accessRounds(4, seedOfRun('access'))
    console.info('access:', JSON.stringify(report))
    expect(report.rounds).toBe(4)
    expect(report.answered).toBeGreaterThan(10)
  },
)
