import { join } from 'node:path'
import { inFile } from '../storage/files.ts'
import { readKeyFile } from '../storage/key-file.ts'
import { activeKeys } from './key-times.ts'
import { checkKeyPairs, parseCheckpointKey, treeHeadKeyOf, type PrivateKeys } from './keys.ts'
import { filesIn } from './log-files.ts'
import type { LogInfo } from './log-info.ts'

/**
 * The private keys of a log, checked against its public keys.
 *
 * @param folder the log's own
 * @throws SteleError `key_missing`, `key_permissions`, `wrong_key`, `malformed`, `io_error`
 */
export async function readPrivateKeys(folder: string, info: LogInfo): Promise<PrivateKeys> {
  const keys: PrivateKeys = {
    checkpointKeys: await Promise.all(
      activeKeys(info.keys).map(({ file }) => readCheckpointKey(join(folder, file))),
    ),
    treeHeadKey: await readTreeHeadKey(filesIn(folder).treeHeadKey),
  }
  checkKeyPairs(info, keys, folder)
  return keys
}

/** The text of a checkpoint key. @throws SteleError as {@link readKeyFile}; `malformed`, each with the path */
export async function readCheckpointKey(path: string): Promise<string> {
  const skey = await readKeyFile(path)
  inFile(path, () => parseCheckpointKey(skey))
  return skey
}

/** The text of the tree head key. @throws SteleError as {@link readCheckpointKey} */
export async function readTreeHeadKey(path: string): Promise<string> {
  const pem = await readKeyFile(path)
  inFile(path, () => treeHeadKeyOf(pem))
  return pem
}
