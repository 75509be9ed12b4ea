import { join } from 'node:path'
import { initAccess } from '../../src/instance/access-files.ts'
import { createLog, initDataFolder } from '../../src/instance/data-folder.ts'
import { testFolder } from './folder.ts'

/**
 * Makes a data folder with access control and a meta log.
 *
 * @param logs that everybody may read
 * @param hidden logs of which nobody knows without a key
 */
export async function makeInstanceFolder(
  logs: readonly string[],
  hidden: readonly string[] = [],
  data = join(testFolder(), 'data'),
): Promise<{ data: string; provisioning: string }> {
  await initDataFolder(data)
  const log = (name: string) => ({ name, origin: `log.example/${name}`, allowDuplicates: false })
  for (const name of logs) await createLog(data, { ...log(name), reads: 'public' })
  for (const name of hidden) await createLog(data, { ...log(name), reads: 'private', heads: 'closed' })
  const { key } = await initAccess(data, 'log.example/meta')
  return { data, provisioning: key }
}
