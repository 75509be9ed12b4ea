import { META_LOG, readAccess } from '../instance/access-files.ts'
import { administer } from '../audit-trail/administer.ts'
import { UNANNOUNCED, type Act, type Administer, type Announce, type Planned } from '../instance/plan.ts'
import { Administration, type Works } from '../instance/administration.ts'
import { freezeStoredLog } from '../instance/freeze.ts'
import { withOfflineAccess } from './offline-access.ts'
import type { LogSettings } from '../instance/open-log.ts'

/** What a command on a stopped server has. */
export interface OfflineAdministration {
  readonly logs: Administration
  /** For acts that are not among those of `logs`. */
  readonly administer: Administer
}

/**
 * Changes a log of a folder that no server has open. In a folder with access control the change is in the meta log before
 * it is done, as when a server does it. The keys of the meta log itself are the exception, since nothing can be written
 * into a log while its keys change: their line comes right behind, and a crash between is named at the next start.
 *
 * @param settings of the server, for asking witnesses as it would
 * @throws SteleError `locked` with advice; whatever the task throws
 */
export async function withOfflineAdministration<T>(
  folder: string,
  name: string,
  settings: LogSettings,
  task: (administration: OfflineAdministration) => Promise<T>,
): Promise<T> {
  const through = (wrap: Administer): Promise<T> => {
    const logs = new Administration({ folder, administer: wrap, works: filesOf(folder, settings) })
    return task({ logs, administer: wrap })
  }
  if (!(await readAccess(folder))) return through((_, act) => act(UNANNOUNCED))
  if (name === META_LOG) return through((act, change) => recordedBehind(folder, act, change))
  return withOfflineAccess(folder, ({ meta }) =>
    through((act, change) => administer({ folder, meta }, act, change)),
  )
}

async function recordedBehind<T>(
  folder: string,
  act: Act,
  change: (announce: Announce) => Promise<T>,
): Promise<T> {
  const planned: Planned[] = []
  const result = await change((one) => {
    planned.push(one)
    return Promise.resolve()
  })
  await withOfflineAccess(folder, ({ meta }) =>
    administer({ folder, meta }, act, async (announce) => {
      for (const one of planned) await announce(one)
    }),
  )
  return result
}

function filesOf(folder: string, settings: LogSettings): Works {
  return {
    whileClosed: (_, task) => task(),
    changeKeys: (_, change) => change(),
    freeze: (name, words, announce) => freezeStoredLog(folder, name, settings, words, announce),
    add: () => Promise.resolve(),
  }
}
