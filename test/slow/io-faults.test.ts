import { describe, expect, test } from 'vitest'
import { tryFaults } from '../process/io-faults.ts'
import { SCENARIOS } from '../process/io-scenarios.ts'

describe.each(SCENARIOS)('$name', (scenario) => {
  test('whichever file operation fails, in whichever way, nothing that was promised is lost', async () => {
    const startedMs = performance.now()
    const { failures, ...tally } = await tryFaults(scenario, (all) => all)
    const seconds = Math.round((performance.now() - startedMs) / 1000)
    console.info(`${scenario.name}:`, JSON.stringify({ ...tally, seconds }))
    expect(failures).toEqual([])
  })
})
