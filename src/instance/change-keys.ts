import { join } from 'node:path'
import { invariant, SteleError } from '../errors.ts'
import { formatCosignerKey, generateCosignerKey } from '../note/cosigner.ts'
import { formatKeyId, KEY_TYPE } from '../note/key-id.ts'
import {
  formatSigningKey,
  formatVerifierKey,
  generateSigningKey,
  parseVerifierKey,
  SigningKey,
} from '../note/key.ts'
import { followRotations, MAX_ROTATIONS, signRotation } from '../note/rotation.ts'
import { replaceFile, syncFolder, writeNewFile } from '../storage/files.ts'
import { UNANNOUNCED, type Announce, type Planned } from './plan.ts'
import { hashOf, logPart } from './configuration.ts'
import { logFiles } from './data-folder.ts'
import { activeKeys, firstVerifierKey, isEd25519 } from './key-times.ts'
import { parseCheckpointKey } from './keys.ts'
import { formatLogInfo, type LogInfo, type LogKey } from './log-info.ts'
import { readPrivateKeys } from './private-keys.ts'
import { withStoredHead } from './stored-head.ts'

/** Algorithms of keys that sign checkpoints. */
export type KeyAlgorithm = 'ed25519' | 'ml-dsa-44'

/** The result of a change to a log's keys. */
export interface KeyChange {
  readonly info: LogInfo
  /** The key that was added or retired. */
  readonly key: LogKey
  /** Rotation statements that this change made: signed notes, for the records of followers. */
  readonly statements: readonly string[]
}

/** Writes the files of a log: a seam for tests in which each write fails. */
export interface KeyFiles {
  writeNew(path: string, text: string, mode: number): Promise<void>
  /** Atomic: leaves the old file or the new one. */
  replace(path: string, text: string): Promise<void>
}

export interface ChangeOptions {
  readonly nowMs?: number
  readonly files?: KeyFiles
  /** Called before any file is written; if it rejects, none is. */
  readonly announce?: Announce
}

/** Most keys that may sign at a time. A head with four ML-DSA-44 lines has 14 kB, and the head file holds 32 kB. */
const MAX_ACTIVE_KEYS = 4

/** The default time for which an old key signs beside its successor. */
export const DEFAULT_OVERLAP_SECONDS = 30 * 86_400

const DISK: KeyFiles = {
  async writeNew(path, text, mode) {
    await writeNewFile(path, text, mode)
    await syncFolder(join(path, '..'))
  },
  replace: replaceFile,
}

/**
 * Adds a key to a log. Every head from the next one on also carries its line, and every Ed25519 key that signs
 * announces it in a statement. The log must not be open elsewhere.
 *
 * The private key's file is written first and `log.json`, which alone is authoritative, last. A crash in between leaves
 * the old keys and an unused key file.
 *
 * @throws SteleError `locked`; `usage` where there are too many; as `openStoredLog` for a log that is not in order
 */
export function addKey(
  folder: string,
  name: string,
  algorithm: KeyAlgorithm,
  options: ChangeOptions = {},
): Promise<KeyChange> {
  return withStoredHead(folder, name, (stored) => addTo({ ...stored, folder, name }, algorithm, options))
}

/**
 * Adds a key of the same kind as an existing one, and announces until when the old one signs beside it. This does not
 * retire the old key, nor does time: `retireKey` does.
 *
 * @param keyId of the old key, 8 hex digits; default: the first Ed25519 key that signs
 * @throws SteleError as {@link addKey}; `not_found` if no key has this ID
 */
export function rotateKey(
  folder: string,
  name: string,
  {
    keyId,
    overlapSeconds = DEFAULT_OVERLAP_SECONDS,
    ...options
  }: ChangeOptions & {
    readonly keyId?: string | undefined
    readonly overlapSeconds?: number | undefined
  } = {},
): Promise<KeyChange> {
  return withStoredHead(folder, name, (stored) => {
    const { info, nextMs } = stored
    const old = keyId === undefined ? keyOf(info, firstVerifierKey(info.keys)) : findKey(info, keyId)
    const untilSeconds = Math.ceil(Math.max(options.nowMs ?? Date.now(), nextMs) / 1000) + overlapSeconds
    const algorithm = isEd25519(old.verifierKey) ? 'ed25519' : 'ml-dsa-44'
    return addTo({ ...stored, folder, name }, algorithm, options, { old, untilSeconds })
  })
}

/**
 * Retires a key: it signs no further head. Its private key's file stays; deleting it is left to the operator.
 *
 * Clients that pinned the key must be able to go on. So another Ed25519 key must remain, must have signed the newest
 * head beside it, and must be announced by a statement of the retired key. If only that statement is missing, the key
 * signs it before it is retired.
 *
 * @param beforeOverlapEnds retires it even if it was announced to sign for longer
 * @throws SteleError `locked`; `not_found` if no key that signs has this ID; `usage` for the last Ed25519 key, and for
 *   a key whose overlap has not begun or has not ended
 */
export function retireKey(
  folder: string,
  name: string,
  keyId: string,
  {
    beforeOverlapEnds = false,
    nowMs = Date.now(),
    files = DISK,
    announce = UNANNOUNCED,
  }: ChangeOptions & {
    readonly beforeOverlapEnds?: boolean | undefined
  } = {},
): Promise<KeyChange> {
  return withStoredHead(folder, name, async ({ info, head, nextMs }) => {
    const key = findKey(info, keyId)
    const rest = activeKeys(info.keys).filter((other) => other !== key && isEd25519(other.verifierKey))
    if (rest.length === 0) throw usage(keyId, 'it is the last Ed25519 key that signs; rotate it first')
    const beside = rest.filter(({ since }) => since.timestampMs <= head.timestampMs)
    if (beside.length === 0) {
      throw usage(keyId, 'no head carries its line beside the new one yet; serve the log, which signs one')
    }
    const untilMs = (key.overlapUntilSeconds ?? 0) * 1000
    if (untilMs > nowMs && !beforeOverlapEnds) {
      throw usage(keyId, `it was announced to sign until ${new Date(untilMs).toISOString()}`)
    }
    const secret = await readPrivateKeys(logFiles(folder, name).folder, info)
    const skey = secret.checkpointKeys[activeKeys(info.keys).indexOf(key)]!
    const statements = await farewell(info, key, beside, skey, { size: head.size, nowMs })
    const retired = { treeSize: head.size, timestampMs: Math.max(nowMs, nextMs) }
    const keys = info.keys.map((other) => (other === key ? { ...key, retired } : other))
    const next = changed(info, keys, statements)
    await announce(plan(name, info, next))
    await files.replace(logFiles(folder, name).info, formatLogInfo(next))
    return { info: next, key: { ...key, retired }, statements }
  })
}

interface Place {
  readonly folder: string
  readonly name: string
  readonly info: LogInfo
  readonly head: { readonly size: number }
  /** The earliest timestamp that the next head can have. */
  readonly nextMs: number
}

async function addTo(
  { folder, name, info, head, nextMs }: Place,
  algorithm: KeyAlgorithm,
  { nowMs = Date.now(), files = DISK, announce = UNANNOUNCED }: ChangeOptions,
  rotated?: { readonly old: LogKey; readonly untilSeconds: number },
): Promise<KeyChange> {
  const active = activeKeys(info.keys)
  if (active.length >= MAX_ACTIVE_KEYS) {
    throw new SteleError('usage', `log ${name}: ${active.length} keys sign already; retire one first`)
  }
  const secret = await readPrivateKeys(logFiles(folder, name).folder, info)
  const made = generateKey(info, algorithm)
  const timeSeconds = Math.floor(nowMs / 1000)
  const statements: string[] = []
  for (const skey of secret.checkpointKeys) {
    const signer = parseCheckpointKey(skey)
    if (!(signer instanceof SigningKey)) continue
    const isOld = rotated && formatVerifierKey(signer.verifier) === rotated.old.verifierKey
    const rotation = {
      origin: info.origin,
      size: head.size,
      timeSeconds,
      old: signer.verifier,
      next: parseVerifierKey(made.verifierKey),
      overlapSeconds: isOld ? rotated.untilSeconds : 0,
    }
    statements.push(await signRotation(rotation, signer))
  }
  const since = { treeSize: head.size, timestampMs: Math.max(nowMs, nextMs) }
  const key: LogKey = { verifierKey: made.verifierKey, file: made.file, since }
  const before = info.keys.map((other) => {
    return other === rotated?.old ? { ...other, overlapUntilSeconds: rotated.untilSeconds } : other
  })
  const next = changed(info, [...before, key], statements)
  const { folder: place, info: infoFile } = logFiles(folder, name)
  await announce(plan(name, info, next))
  await files.writeNew(join(place, made.file), `${made.skey}\n`, 0o600)
  await files.replace(infoFile, formatLogInfo(next))
  return { info: next, key, statements }
}

/** The keys that change, before and after, each with its times. */
function plan(name: string, info: LogInfo, next: LogInfo): Planned {
  const shown = ({ keys }: LogInfo, others: LogInfo): object[] =>
    keys
      .filter((key) => !others.keys.includes(key))
      .map(({ verifierKey, since, overlapUntilSeconds, retired }) => {
        return { verifierKey, since, overlapUntilSeconds, retired }
      })
  const parts = { [logPart(name)]: hashOf(formatLogInfo(next)) }
  return { before: shown(info, next), after: shown(next, info), parts }
}

/** Generates a key whose ID differs from all others of the log, since signature lines are told apart by it. */
function generateKey(
  { origin, keys }: LogInfo,
  algorithm: KeyAlgorithm,
): { verifierKey: string; file: string; skey: string } {
  for (;;) {
    const key =
      algorithm === 'ed25519'
        ? generateSigningKey(origin)
        : generateCosignerKey(origin, KEY_TYPE.mlDsa44Cosignature)
    if (keys.some(({ verifierKey }) => parseVerifierKey(verifierKey).id === key.id)) continue
    const skey = key instanceof SigningKey ? formatSigningKey(key) : formatCosignerKey(key)
    return { verifierKey: formatVerifierKey(key.verifier), file: `log-${formatKeyId(key.id)}.skey`, skey }
  }
}

/** A statement that leads from a retired key to a remaining one, unless one exists. */
async function farewell(
  { origin, rotations }: LogInfo,
  { verifierKey }: LogKey,
  rest: readonly LogKey[],
  skey: string,
  { size, nowMs }: { size: number; nowMs: number },
): Promise<string[]> {
  const signer = parseCheckpointKey(skey)
  if (!(signer instanceof SigningKey)) return []
  const log = { origin, verifiers: [parseVerifierKey(verifierKey)] }
  const reached = followRotations(log, rotations.join('')).map(formatVerifierKey)
  if (rest.some((other) => reached.includes(other.verifierKey))) return []
  const timeSeconds = Math.floor(nowMs / 1000)
  const next = parseVerifierKey(rest[0]!.verifierKey)
  const rotation = { origin, size, timeSeconds, old: signer.verifier, next, overlapSeconds: timeSeconds }
  return [await signRotation(rotation, signer)]
}

function changed(info: LogInfo, keys: LogKey[], statements: readonly string[]): LogInfo {
  const verifierKey = firstVerifierKey(keys)
  invariant(verifierKey !== undefined, 'a log without a key that signs')
  const rotations = [...info.rotations, ...statements]
  if (rotations.length > MAX_ROTATIONS)
    throw new SteleError('too_large', 'log.json: it holds too many key rotations')
  return { ...info, verifierKey, keys, rotations }
}

/** @throws SteleError `not_found` */
function findKey(info: LogInfo, keyId: string): LogKey {
  const found = activeKeys(info.keys).find(({ verifierKey }) => idOf(verifierKey) === keyId.toLowerCase())
  if (found) return found
  const active = activeKeys(info.keys).map(({ verifierKey }) => idOf(verifierKey))
  throw new SteleError('not_found', `key ${keyId}: expected one that signs (${active.join(', ')})`)
}

function keyOf(info: LogInfo, verifierKey: string | undefined): LogKey {
  const found = info.keys.find((key) => key.verifierKey === verifierKey)
  invariant(found !== undefined, 'a log without a key that signs')
  return found
}

/** A key's ID in hex. */
export function idOf(verifierKey: string): string {
  return formatKeyId(parseVerifierKey(verifierKey).id)
}

function usage(keyId: string, reason: string): SteleError {
  return new SteleError('usage', `key ${keyId}: not retired: ${reason}`)
}
