import { SteleError } from '../errors.ts'
import { readConfiguration, withParts, type Configuration, type Parts } from '../instance/configuration.ts'
import type { MetaLog } from './meta-log.ts'
import type { Act, Announce, Planned } from '../instance/plan.ts'

/** Where acts are recorded. */
export interface Records {
  readonly folder: string
  readonly meta: MetaLog
}

/**
 * Runs every change: the task plans it, announces the plan, and then makes the change. Before the announcement
 * resolves, the plan is durably in the meta log, with the configuration as it will be. If the change fails, a second
 * line records that, with the actual configuration. The next start notices a crash between line and change, because it
 * compares the two.
 *
 * @throws SteleError `untraceable`, and nothing was changed; what the task throws
 */
export async function administer<T>(
  records: Records,
  act: Act,
  task: (announce: Announce) => Promise<T>,
): Promise<T> {
  const begun: Planned[] = []
  try {
    return await task(async (planned) => {
      await record(records, act, planned)
      begun.push(planned)
    })
  } catch (error) {
    for (const planned of begun) await recordFailure(records, act, planned, error)
    throw error
  }
}

async function record({ folder, meta }: Records, act: Act, planned: Planned): Promise<void> {
  const { before, after, parts = {}, placed } = planned
  const onDisk = await readParts(folder, parts)
  const found = meta.configuration ?? (await readConfiguration(folder, undefined))
  await meta.writeChange(found, (recorded) => {
    const changed = Object.keys(parts).filter((name) => recorded[name] !== onDisk[name])
    return {
      kind: 'admin',
      ...act,
      before,
      after,
      ...(changed.length === 0 ? {} : { changed }),
      ...placed,
      configuration: withParts(recorded, parts),
    }
  })
}

async function recordFailure(
  { folder, meta }: Records,
  { act, ...rest }: Act,
  { before, after, parts = {} }: Planned,
  error: unknown,
): Promise<void> {
  try {
    const onDisk = await readParts(folder, parts)
    const { code, message } =
      error instanceof SteleError ? error : { code: 'internal', message: (error as Error).message }
    await meta.writeChange({}, (recorded) => ({
      kind: 'admin',
      act: `${act}_failed`,
      ...rest,
      before,
      after,
      error: { code, message },
      configuration: withParts(recorded, onDisk),
    }))
  } catch {
    // If this cannot be written, the next start reports it: it compares the announced configuration with the actual
    // one.
  }
}

/** Some parts of the configuration as they are on disk. */
async function readParts(folder: string, parts: Parts): Promise<Parts> {
  return Object.keys(parts).length === 0 ? {} : pick(await readConfiguration(folder, undefined), parts)
}

function pick(configuration: Configuration, parts: Parts): Parts {
  return Object.fromEntries(Object.keys(parts).map((name) => [name, configuration[name]]))
}
