import { expect, test } from 'vitest'
import { testFolder } from '../support/folder.ts'
import { FaultRun } from './fault-run.ts'
import { whyNoStrace, type Effect, type Point } from './syscalls.ts'

const LIMIT = { timeout: 60_000 }
const missing = whyNoStrace()
if (missing !== undefined) console.info(`system-call faults: skipped, for ${missing}`)

/** The calls that an acknowledgement rests on, in their order. */
const CALLS: readonly [call: Point['call'], path: RegExp][] = [
  ['write', /database\/\d+\.log$/],
  ['fdatasync', /database\/\d+\.log$/],
  ['pwrite64', /head$/],
  ['fdatasync', /head$/],
]

test.skipIf(missing !== undefined)(
  'a failed or deadly write or sync of an append loses nothing and invents nothing',
  LIMIT,
  async () => {
    const run = await FaultRun.prepare(testFolder())
    const points = await run.points('running')
    const faults = CALLS.map(([call, path]) => {
      const point = points.find((one) => one.call === call && one.number === 2 && path.test(one.path))
      if (!point) throw new Error(`the server made no second ${call} on ${path}`)
      return point
    })
    const spoil = (point: Point, effect: Effect, heal = false) =>
      run.spoil('running', { ...point, effect }, { heal })
    for (const point of faults) {
      expect(await spoil(point, 'signal=KILL')).toMatchObject({ happened: true, end: 'killed' })
    }
    expect(await spoil(faults[0]!, 'error=ENOSPC', true)).toMatchObject({ end: 'halted', healed: true })
    expect(await spoil(faults[3]!, 'error=EIO')).toMatchObject({ happened: true, end: 'halted' })
  },
)
