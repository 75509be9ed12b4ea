import { SteleError } from '../../errors.ts'
import { formatVerifierKey } from '../../note/key.ts'
import { activeKeys } from '../../instance/key-times.ts'
import { checkKeyPairs, parseCheckpointKey, type PrivateKeys } from '../../instance/keys.ts'
import type { LogInfo } from '../../instance/log-info.ts'
import { readCheckpointKey, readTreeHeadKey } from '../../instance/private-keys.ts'
import { BACKUP_FILES } from '../backup/description.ts'
import type { RestoreSource } from './source.ts'

/** Where the private keys are, if not in the backup. */
export interface KeyOptions {
  /** One for each key that signs, in any order. */
  readonly skey?: readonly string[]
  readonly treeHeadKey?: string
}

/**
 * The private keys of all that sign for a log, checked against its public ones.
 *
 * @throws SteleError `key_missing` naming the public half; `key_permissions`, `wrong_key`, `malformed`
 */
export async function privateKeys(
  source: RestoreSource,
  options: KeyOptions,
  info: LogInfo,
): Promise<PrivateKeys> {
  const active = activeKeys(info.keys)
  const given = await readKeys(
    source,
    options,
    active.map(({ file }) => file),
  )
  const byPublic = new Map(given.checkpointKeys.map((skey) => [publicOf(skey), skey]))
  const foreign = [...byPublic.keys()].find((vkey) => !active.some(({ verifierKey }) => verifierKey === vkey))
  if (foreign !== undefined) {
    throw new SteleError(
      'wrong_key',
      `${source.name}: the log does not sign with ${foreign}; hand in the key of ${active.map(({ verifierKey }) => verifierKey).join(', ')}`,
    )
  }
  const checkpointKeys = active.map(({ verifierKey, file }) => {
    return byPublic.get(verifierKey) ?? missing(source, `${file} of ${verifierKey}`, '--skey')
  })
  const keys = { checkpointKeys, treeHeadKey: given.treeHeadKey }
  checkKeyPairs(info, keys, source.name)
  return keys
}

/**
 * The private keys that were handed in, or else those of the source.
 *
 * @param files what those of the checkpoints are called there
 * @throws SteleError `key_missing` if there is none; `key_permissions`
 */
export async function readKeys(
  source: RestoreSource,
  { skey = [], treeHeadKey }: KeyOptions,
  files: readonly string[],
): Promise<PrivateKeys> {
  const given = await Promise.all(skey.map(readCheckpointKey))
  const found = skey.length > 0 ? given : await Promise.all(files.map((file) => source.key(file)))
  const checkpointKeys = found.filter((key) => key !== undefined)
  const path = BACKUP_FILES.treeHeadKey
  const treeHead = treeHeadKey === undefined ? await source.key(path) : await readTreeHeadKey(treeHeadKey)
  return {
    checkpointKeys: checkpointKeys.length > 0 ? checkpointKeys : missing(source, files[0]!, '--skey'),
    treeHeadKey: treeHead ?? missing(source, path, '--tree-head-key'),
  }
}

function publicOf(skey: string): string {
  return formatVerifierKey(parseCheckpointKey(skey).verifier)
}

function missing(source: RestoreSource, path: string, flag: string): never {
  throw new SteleError(
    'key_missing',
    `${source.name}: expected the log's private key ${path} in it (a backup made --with-keys), or ${flag} <file>`,
  )
}
