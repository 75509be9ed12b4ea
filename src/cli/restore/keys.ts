import { SteleError } from '../../errors.ts'
import { readKeyFile } from '../../server/files.ts'
import { checkKeyPair, logKeysOf, type LogKeys } from '../../server/keys.ts'
import { BACKUP_FILES } from '../backup/description.ts'
import type { RestoreSource } from './source.ts'

/** Where the private keys are, if not in the backup. */
export interface KeyOptions {
  readonly skey?: string
  readonly treeHeadKey?: string
}

/**
 * The private keys of the log that is restored. They say which log it is: whatever the source holds is checked against
 * their public halves.
 *
 * @throws SteleError `key_missing`, `key_permissions`, `wrong_key`, `malformed`
 */
export async function restoreKeys(source: RestoreSource, options: KeyOptions): Promise<LogKeys> {
  const keys = logKeysOf(
    await keyOf(source, BACKUP_FILES.checkpointKey, '--skey', options.skey),
    await keyOf(source, BACKUP_FILES.treeHeadKey, '--tree-head-key', options.treeHeadKey),
  )
  const { verifierKey, treeHeadKey } = source.description ?? {}
  const announced = {
    ...keys,
    verifierKey: verifierKey ?? keys.verifierKey,
    treeHeadPublicKey: treeHeadKey ?? keys.treeHeadPublicKey,
  }
  checkKeyPair(announced, source.name)
  return keys
}

async function keyOf(
  source: RestoreSource,
  path: string,
  flag: string,
  given: string | undefined,
): Promise<string> {
  const key = given === undefined ? await source.key(path) : await readKeyFile(given)
  if (key !== undefined) return key
  throw new SteleError(
    'key_missing',
    `${source.name}: expected the log's private key ${path} in it (a backup made --with-keys), or ${flag} <file>`,
  )
}
