import { readFileSync } from 'node:fs'
import { open, readFile, rename, writeFile } from 'node:fs/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { FaultyDisk, type Effect } from '../support/faulty-disk.ts'
import { scratchFolder, tryFaults } from './io-faults.ts'
import { SCENARIOS } from './io-scenarios.ts'
import { Random, seedOfRun } from './random.ts'

/** Of each scenario; `test/slow/io-faults.test.ts` tries all of them. */
const TRIED = 8

const random = new Random(seedOfRun('file operations that fail'))

describe.each(SCENARIOS)('$name', (scenario) => {
  test(
    'whichever file operation fails, nothing that was promised is lost',
    { timeout: 1_800_000 },
    async () => {
      const tally = await tryFaults(scenario, (all) =>
        Array.from({ length: Math.min(TRIED, all.length) }, () => random.pick(all)!),
      )
      expect(tally.failures).toEqual([])
    },
  )
})

describe('the disk of these tests', () => {
  /** A file of two bytes that is written over, in a run with one fault. */
  async function overwritten(at: number, effect: Effect): Promise<{ end: string; content: string }> {
    const folder = scratchFolder()
    const path = `${folder}/file`
    await writeFile(path, 'ab')
    const disk = new FaultyDisk(folder)
    onTestFinished(() => disk.remove())
    const { end } = await disk.run(
      async () => {
        const file = await open(path, 'r+')
        await file.write(Buffer.from('xy'), 0, 2, 0)
        await file.sync()
        await file.close()
        await readFile(path)
      },
      { at, effect },
    )
    const content = readFileSync(path, 'utf8')
    disk.pages.cutPower()
    return { end, content: `${content}, ${readFileSync(path, 'utf8')} after a power cut` }
  }

  test.each([
    [1, 'EIO', 'failed', 'ab, ab after a power cut'],
    [1, 'short', 'done', 'xb, xb after a power cut'],
    [1, 'done', 'failed', 'xy, ab after a power cut'],
    [1, 'kill', 'killed', 'ab, ab after a power cut'],
    [2, 'EIO', 'failed', 'xy, ab after a power cut'],
    [2, 'kill', 'killed', 'xy, ab after a power cut'],
    [2, 'power cut', 'killed', 'ab, ab after a power cut'],
    [2, 'hang', 'stuck', 'xy, ab after a power cut'],
    [3, 'kill', 'killed', 'xy, xy after a power cut'],
  ] as const)('operation %i, %s: %s, and the file holds %s', async (at, effect, end, content) => {
    expect(await overwritten(at, effect)).toEqual({ end, content })
  })

  test('forgets a name whose folder was not synced', async () => {
    const folder = scratchFolder()
    await writeFile(`${folder}/file`, 'old')
    const disk = new FaultyDisk(folder)
    onTestFinished(() => disk.remove())
    await writeFile(`${folder}/new`, 'new', { flush: true })
    await rename(`${folder}/new`, `${folder}/file`)
    disk.pages.cutPower()
    expect(readFileSync(`${folder}/file`, 'utf8')).toBe('old')
  })
})
