import { expect, test } from 'vitest'
import { FaultRun, type FaultReport, type Phase } from '../process/fault-run.ts'
import { Random, seedOfRun } from '../process/random.ts'
import { whyNoStrace, type Effect, type Fault, type Point } from '../process/syscalls.ts'
import { testFolder } from '../support/folder.ts'

const EFFECTS: readonly Effect[] = ['error=EIO', 'error=ENOSPC', 'signal=KILL']
/** Calls of one kind on one file of which all are spoiled; of more the first and last ones, and some in between. */
const ALL_UP_TO = 8
/** Of logs that halt, every so many is waited for until it heals itself, which takes seconds. */
const HEAL_EVERY = 8
/** After this long no further fault is begun, however slow the machine: what was left out is said. */
const MAX_MS = 7 * 60_000

const missing = whyNoStrace()
if (missing !== undefined) console.info(`system-call faults: skipped, for ${missing}`)

test.skipIf(missing !== undefined)(
  'no system call that fails, or that the server dies in, makes the log lose or invent anything',
  async () => {
    const random = new Random(seedOfRun('system calls'))
    const run = await FaultRun.prepare(testFolder())
    const faults: { phase: Phase; fault: Fault }[] = []
    for (const phase of ['opening', 'running'] as const) {
      const points = await run.points(phase)
      const chosen = sample(points, random)
      console.info(`system calls: ${phase}: ${points.length} calls, ${chosen.length} of them chosen`)
      for (const point of chosen) {
        for (const effect of EFFECTS) faults.push({ phase, fault: { ...point, effect } })
      }
    }
    const startedMs = performance.now()
    const { reports, failures } = await spoilAll(run, shuffled(faults, random))
    const tookSeconds = Math.round((performance.now() - startedMs) / 1000)
    const leftOut = faults.length - reports.length - failures.length
    console.info(
      `system calls: ${tookSeconds} s, ${leftOut} faults left out for want of time`,
      tally(reports),
    )
    expect(failures).toEqual([])
    // If the calls were others this time than in the dry run, nothing was shown.
    expect(reports.filter((report) => report.happened).length).toBeGreaterThan(0.9 * reports.length)
    expect(reports.filter(wasIgnored)).toEqual([])
  },
)

/** Two at a time. */
async function spoilAll(
  run: FaultRun,
  faults: readonly { phase: Phase; fault: Fault }[],
): Promise<{ reports: FaultReport[]; failures: unknown[] }> {
  const reports: FaultReport[] = []
  const failures: unknown[] = []
  const queue = faults.entries()
  const startedMs = performance.now()
  const workOff = async (): Promise<void> => {
    for (const [i, { phase, fault }] of queue) {
      if (performance.now() - startedMs > MAX_MS) return
      try {
        reports.push(await run.spoil(phase, fault, { heal: i % HEAL_EVERY === 0 }))
      } catch (error) {
        failures.push({ phase, fault, error })
      }
    }
  }
  await Promise.all([workOff(), workOff()])
  return { reports, failures }
}

function sample(points: readonly Point[], random: Random): Point[] {
  const kinds = new Set(points.map(kindOf))
  return [...kinds].flatMap((kind) => {
    const group = points.filter((point) => kindOf(point) === kind)
    if (group.length <= ALL_UP_TO) return group
    const [inner, outer] = [group.slice(3, -2), [...group.slice(0, 3), ...group.slice(-2)]]
    return [...outer, ...Array.from({ length: ALL_UP_TO - outer.length }, () => random.pick(inner)!)]
  })
}

/** In an order in which it does not matter where the time ends. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

function kindOf({ call, path }: Point): string {
  return `${call} ${path}`
}

/** A failure of the log's own write while it appends must stop it: nobody knows what it left on the disk. */
function wasIgnored({ phase, fault, happened, end }: FaultReport): boolean {
  const ownWrite = /database\/\d+\.log$|head$/.test(fault.path)
  return happened && phase === 'running' && ownWrite && end === 'went on'
}

function tally(reports: readonly FaultReport[]): string {
  const counts: Record<string, number> = { faults: reports.length, healed: 0, acknowledged: 0 }
  for (const { happened, end, healed, acknowledged } of reports) {
    const kind = happened ? end : 'did not happen'
    counts[kind] = (counts[kind] ?? 0) + 1
    counts['healed']! += Number(healed)
    counts['acknowledged']! += acknowledged
  }
  return JSON.stringify(counts)
}
