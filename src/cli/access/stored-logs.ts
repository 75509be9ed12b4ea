import type { LogSettings } from '../../instance/open-log.ts'
import type { OfflineAdministration } from '../../server/offline.ts'
import type { Context } from '../context.ts'

/**
 * The operator of the machine. They could change the files of the folder directly, but a change made with this command
 * is recorded.
 */
export const HOST = 'host'

/**
 * Changes a log of a data folder while no server runs. The change is recorded in the folder's meta log first, if it has
 * one.
 *
 * @throws SteleError `locked` with advice; errors of the task
 */
export async function onStoredLog<T>(
  context: Context,
  name: string,
  task: (administration: OfflineAdministration, settings: LogSettings) => Promise<T>,
): Promise<T> {
  const { withOfflineAdministration } = await import('../../server/offline.ts')
  const settings = await settingsOf(context)
  return withOfflineAdministration(context.data, name, settings, (administration) =>
    task(administration, settings),
  )
}

/** Uses the server's defaults and environment, so that witnesses are asked as the server would ask them. */
async function settingsOf({ data, io }: Context): Promise<LogSettings> {
  const { loadConfig } = await import('../../config/config.ts')
  const { logSettings } = await import('../../server/settings.ts')
  return logSettings(loadConfig({ flags: { data }, env: io.env }))
}
