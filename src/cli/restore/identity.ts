import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { toBase64 } from '../../bytes/base64.ts'
import { SteleError } from '../../errors.ts'
import { idOf } from '../../instance/change-keys.ts'
import { activeKeys } from '../../instance/key-times.ts'
import { checkKeyPairs, parseCheckpointKey, type PrivateKeys, treeHeadKeyOf } from '../../instance/keys.ts'
import {
  FIRST_KEY_FILE,
  firstKey,
  formatLogInfo,
  type LogInfo,
  parseLogInfo,
} from '../../instance/log-info.ts'
import { readCheckpointKey, readTreeHeadKey } from '../../instance/private-keys.ts'
import { checkHeadFileIsNew } from '../../instance/restored-log.ts'
import { formatVerifierKey, parseVerifierKey } from '../../note/key.ts'
import { readTextFile } from '../../storage/files.ts'
import { BACKUP_FILES } from '../backup/description.ts'
import type { RestoreSource } from './source.ts'

/** What the operator says about the log's identity. */
export interface IdentityOptions extends KeyOptions {
  /** A `log.json` that is newer than the backup's, or for a source without one. */
  readonly logJson?: string
  readonly origin?: string
  readonly allowDuplicates?: boolean
  readonly reads?: string
  readonly headFolder?: string
}

/** The identity of a log, and its private keys. */
export interface Identity {
  readonly info: LogInfo
  /** The new `log.json`; byte for byte the old one if nothing changes. */
  readonly infoText: string
  readonly keys: PrivateKeys
  /** The folder of the log's head file, if not the log's own. That head file may know of more than the source. */
  readonly formerHeadFile: string | undefined
}

/**
 * The identity of the restored log: as in its `log.json`, with all its private keys, whose public halves must match.
 * Without a `log.json` the log has the given keys, each valid from the first head on.
 *
 * @throws SteleError `key_missing`, `key_permissions`, `wrong_key`, `malformed`, `foreign_format`, `usage`
 */
export async function restoredIdentity(
  source: RestoreSource,
  options: IdentityOptions,
  name: string,
): Promise<Identity> {
  const kept = await keptInfo(source, options)
  const { info, text } = kept ?? { info: await madeInfo(source, options), text: undefined }
  const keys = await privateKeys(source, options, info)
  const changed = withSettings(info, options, name)
  checkHeadFolder(changed)
  checkHeadFileIsNew(changed)
  const isSame = JSON.stringify(changed) === JSON.stringify(info)
  const infoText = isSame && text !== undefined ? text : formatLogInfo(changed)
  return { info: changed, infoText, keys, formerHeadFile: info.headFile }
}

async function keptInfo(
  source: RestoreSource,
  { logJson, reads, origin }: IdentityOptions,
): Promise<{ info: LogInfo; text: string } | undefined> {
  const kept = logJson === undefined ? await source.beside(BACKUP_FILES.info) : await readTextFile(logJson)
  if (logJson !== undefined && kept === undefined) {
    throw new SteleError('io_error', `--log-json ${logJson}: there is no such file`)
  }
  if (kept === undefined) return undefined
  if (reads !== undefined || origin !== undefined) {
    throw new SteleError(
      'usage',
      `${source.name}: its log.json says origin and who reads; leave the flags out`,
    )
  }
  const text = typeof kept === 'string' ? kept : Buffer.from(kept).toString()
  return { info: parseLogInfo(text, logJson ?? join(source.name, BACKUP_FILES.info)), text }
}

/** Unknown settings are restored as closed, so that private entries do not become public. */
async function madeInfo(source: RestoreSource, options: IdentityOptions): Promise<LogInfo> {
  const { checkpointKeys, treeHeadKey } = await readKeys(source, options, [FIRST_KEY_FILE])
  const keys = checkpointKeys.map((skey, i) => {
    const key = firstKey(formatVerifierKey(parseCheckpointKey(skey).verifier))
    return i === 0 ? key : { ...key, file: `log-${idOf(key.verifierKey)}.skey` }
  })
  const { verifierKey } = keys[0]!
  const announced = source.description?.verifierKey
  if (announced !== undefined && !keys.some((key) => key.verifierKey === announced)) {
    throw new SteleError(
      'wrong_key',
      `${source.name}: expected the private key of ${announced}, got ${verifierKey}'s`,
    )
  }
  const info: LogInfo = {
    version: 2,
    origin: options.origin ?? source.description?.origin ?? parseVerifierKey(verifierKey).name,
    verifierKey,
    keys,
    rotations: [],
    treeHeadKey: toBase64(treeHeadKeyOf(treeHeadKey)),
    allowDuplicates: false,
    reads: readsOf(options.reads),
    heads: 'open',
    createdAt: new Date().toISOString(),
  }
  return parseLogInfo(formatLogInfo(info), source.name)
}

function readsOf(text = 'private'): LogInfo['reads'] {
  if (text === 'public' || text === 'private' || text === 'meta') return text
  throw new SteleError('usage', `--reads: expected public, private or meta, got "${text}"`)
}

function withSettings(
  info: LogInfo,
  { headFolder, allowDuplicates }: IdentityOptions,
  name: string,
): LogInfo {
  return {
    ...info,
    ...(allowDuplicates === undefined ? {} : { allowDuplicates }),
    ...(headFolder === undefined ? {} : { headFile: resolve(headFolder, `${name}.head`) }),
  }
}

function checkHeadFolder({ headFile }: LogInfo): void {
  if (headFile === undefined || existsSync(dirname(headFile))) return
  throw new SteleError(
    'usage',
    `${dirname(headFile)}: the log kept its head file there, and there is no such folder; name another one with ` +
      `--head-folder`,
  )
}

/** The private keys, if they are not in the backup. */
interface KeyOptions {
  /** One for each signing key, in any order. */
  readonly skey?: readonly string[]
  readonly treeHeadKey?: string
}

/**
 * Reads the private keys of all signing keys of a log, and checks them against the public ones.
 *
 * @throws SteleError `key_missing` naming the public key; `key_permissions`, `wrong_key`, `malformed`
 */
async function privateKeys(source: RestoreSource, options: KeyOptions, info: LogInfo): Promise<PrivateKeys> {
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
 * The given private keys, or else those of the source.
 *
 * @param files names of the checkpoint keys in the source
 * @throws SteleError `key_missing` if there is none; `key_permissions`
 */
async function readKeys(
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
