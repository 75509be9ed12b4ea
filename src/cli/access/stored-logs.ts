import type { LogSettings } from '../../instance/open-log.ts'
import type { OfflineAdministration } from '../../server/offline.ts'
import type { Context } from '../context.ts'

/** Whoever reaches the folder could change its files as well; that they did it this way is written down. */
export const HOST = 'host'

/**
 * Changes a log of a data folder that no server has open; its meta log, if it has one, says so first.
 *
 * @throws SteleError `locked` with advice; whatever the task throws
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

/** With the server's defaults and environment: witnesses are asked as the server would. */
async function settingsOf({ data, io }: Context): Promise<LogSettings> {
  const { loadConfig } = await import('../../config/config.ts')
  const { logSettings } = await import('../../server/settings.ts')
  return logSettings(loadConfig({ flags: { data }, env: io.env }))
}
