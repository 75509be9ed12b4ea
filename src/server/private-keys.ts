import { join } from 'node:path'
import { readKeyFile } from './key-file.ts'
import { activeKeys } from './key-times.ts'
import { checkKeyPairs, type PrivateKeys } from './keys.ts'
import { filesIn } from './log-files.ts'
import type { LogInfo } from './log-info.ts'

/**
 * The private keys that sign for a log, checked against its public ones.
 *
 * @param folder the log's own
 * @throws SteleError `key_missing`, `key_permissions`, `wrong_key`, `malformed`, `io_error`
 */
export async function readPrivateKeys(folder: string, info: LogInfo): Promise<PrivateKeys> {
  const keys: PrivateKeys = {
    checkpointKeys: await Promise.all(
      activeKeys(info.keys).map(({ file }) => readKeyFile(join(folder, file))),
    ),
    treeHeadKey: await readKeyFile(filesIn(folder).treeHeadKey),
  }
  checkKeyPairs(info, keys, folder)
  return keys
}
