import { expect, test } from 'vitest'
import { killRounds } from './kill-rounds.ts'
import { seedOfRun } from './random.ts'

const LIMIT = { timeout: 60_000 }

test(
  'a server that is killed at random moments under load keeps all that it acknowledged',
  LIMIT,
  async () => {
    const report = await killRounds(4, seedOfRun('kill'))
    console.info('kill:', JSON.stringify(report))
    expect(report.rounds).toBe(4)
  },
)
