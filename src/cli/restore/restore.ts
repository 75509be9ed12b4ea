import { join } from 'node:path'
import type { LogFiles } from '../../client/http-files.ts'
import { SteleError } from '../../errors.ts'
import { openCheckpoint, type LogIdentity, type OpenedCheckpoint } from '../../note/checkpoint.ts'
import { formatVerifierKey, parseVerifierKey } from '../../note/key.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { LogInfo } from '../../instance/log-info.ts'
import { restoreLog } from '../../instance/restored-log.ts'
import { readTextFile } from '../../storage/files.ts'
import { BACKUP_FILES, type EndingState, readEnd, withCheckpoint } from '../backup/description.ts'
import { PATIENCE_MS } from '../context.ts'
import type { Terminal } from '../output/terminal.ts'
import { askWitnesses, openMirror, type Headers } from './ask-witnesses.ts'
import { CatchUpFiles, fillStore, gatherSeen, type SeenOptions } from './fill.ts'
import { type EndingOptions, publishedRecord, restoredEnding, restoredHead } from './head.ts'
import type { Identity, IdentityOptions } from './identity.ts'
import { Comparison, openSeen } from './seen.ts'
import type { RestoreSource } from './source.ts'

/** The operator's options of a restore. */
export interface RestoreOptions extends SeenOptions, IdentityOptions, EndingOptions {
  readonly catchUp?: string
  /** A file; false if the log has no witnesses. */
  readonly policy?: string | false
  readonly withoutWitness?: readonly string[]
}

/** The result of a restore. */
export interface Restored {
  readonly opened: OpenedCheckpoint
  readonly compared: readonly { readonly source: string; readonly size: number }[]
  readonly withoutWitnesses: readonly string[]
  readonly info: LogInfo
  readonly frozen: boolean
}

/** One restore: source, target, identity. */
export interface RestoreJob {
  readonly data: string
  readonly name: string
  readonly source: RestoreSource
  readonly identity: Identity
  readonly options: RestoreOptions
  readonly terminal: Terminal
  /** Headers for copies that require a key. */
  readonly headers: Headers
}

/** The tree to restore: the backup's, or with `--catch-up` a larger one that extends it. */
interface Target {
  readonly name: string
  readonly files: LogFiles
  readonly note: string
  readonly opened: OpenedCheckpoint
  readonly ending: EndingState | undefined
}

/**
 * Restores a log from a backup or a copy, after comparing it with all known newer heads.
 *
 * @throws SteleError `rolled_back` if a larger head is known; `fork`, with evidence; `unreachable` for a witness or
 *   mirror that does not respond; `corrupt` naming the first damage; `already_exists`, `key_missing` and similar errors.
 *   After an error the log's folder does not exist.
 */
export async function restore(job: RestoreJob): Promise<Restored> {
  const { data, name, source, options, terminal, headers } = job
  const { info, infoText, keys, formerHeadFile } = job.identity
  const verifiers = info.keys.map(({ verifierKey }) => parseVerifierKey(verifierKey))
  const log: LogIdentity = { origin: info.origin, verifiers }
  const policy = await policyOf(job)
  const published = await source.beside(BACKUP_FILES.published)
  const evidence = join(data, 'evidence')

  const target = await targetOf(job, log, evidence)
  const { opened, files, note } = target
  checkKeysOfSize(info, target)
  const { seen, signedAtMs, endings } = await gatherSeen(log, options, formerHeadFile, published, headers)
  const final = restoredEnding(target, endings, options)
  const restored = { ...openSeen(target.name, note, log), files }
  const comparison = new Comparison(log, restored, evidence)
  for (const head of seen) await comparison.compare(head)
  const { treeHead } = source.description ?? {}
  const known = treeHead ? [treeHead.timestampMs, ...signedAtMs] : signedAtMs
  const parts = { name: source.name, opened, info, keys, treeHead, signedAtMs: known, final }
  const head = await restoredHead({ ...parts, nowMs: Date.now() })
  const without = options.withoutWitness ?? []
  const withoutWitnesses =
    policy === undefined
      ? []
      : await askWitnesses({ policy: parsePolicy(policy), log, head, files, without }, comparison)
  for (const witness of withoutWitnesses) terminal.warn(`witness ${witness} was not asked, as you said`)
  comparison.finish()

  const shown = policy === undefined ? undefined : publishedRecord(policy, head, note, published)
  if (shown && !shown.cosigned) terminal.warn('the restored head is published without its cosignatures')
  const bar = terminal.progress('restoring')
  try {
    const made = { name, info, infoText, keys, head, policy, published: shown?.record }
    await restoreLog(data, made, (store) =>
      fillStore(store, target.name, withCheckpoint(files, note), log, (entries, size) =>
        bar.at(entries, '', size),
      ),
    )
  } finally {
    bar.end()
  }
  return { opened, compared: comparison.compared, withoutWitnesses, info, frozen: final !== undefined }
}

/**
 * A retired key is only valid up to the size at which it was retired. Otherwise a thief of a retired key could forge a
 * continuation of the log.
 */
function checkKeysOfSize({ keys }: LogInfo, { name, opened }: Target): void {
  const { size } = opened.checkpoint
  const signed = opened.verifiedBy.map(formatVerifierKey)
  const speaks = keys.some(
    ({ verifierKey, retired }) =>
      signed.includes(verifierKey) && (retired === undefined || size <= retired.treeSize),
  )
  if (speaks) return
  throw new SteleError(
    'untrusted_signer',
    `${name}: its checkpoint of size ${size} is signed only by keys that were retired before that size`,
  )
}

async function targetOf(
  { source, options, headers }: RestoreJob,
  log: LogIdentity,
  evidence: string,
): Promise<Target> {
  const { name, files } = source
  const note = await files.checkpoint()
  const backup = { ...openSeen(join(name, 'checkpoint'), note, log), files }
  // Asked after the checkpoint was read: a log that ended in between counts as ended.
  const ending = await source.ending(log.origin)
  const base: Target = { name, files, note, opened: openCheckpoint(note, log), ending }
  const { catchUp } = options
  if (catchUp === undefined) return base
  const more = await openMirror(catchUp, PATIENCE_MS, headers)
  const seen = openSeen(catchUp, more.note, log, more.files)
  const { size } = backup.head
  // In both cases the smaller tree must be a prefix of the larger.
  await new Comparison(log, backup, evidence).compare(seen)
  const later = await readEnd(catchUp, log.origin, headers)
  if (seen.head.size <= size) return { ...base, ending: later ?? ending }
  return {
    name: `${name} with ${catchUp}`,
    files: new CatchUpFiles(files, size, more.files, more.note),
    note: more.note,
    opened: openCheckpoint(more.note, log),
    // That the log accepted entries at the time of the backup does not say that it still did later.
    ending: ending?.frozen ? ending : later,
  }
}

/** The text of the log's policy; undefined for a log without one. */
async function policyOf({ source, options }: RestoreJob): Promise<string | undefined> {
  if (options.policy === false) return undefined
  if (options.policy !== undefined) {
    const text = await readTextFile(options.policy)
    if (text !== undefined) return text
    throw new SteleError('io_error', `--policy ${options.policy}: there is no such file`)
  }
  const kept = await source.beside(BACKUP_FILES.policy)
  if (kept) return Buffer.from(kept).toString()
  if (source.description?.policy === 'none') return undefined
  throw new SteleError(
    'usage',
    `${source.name}: it does not say whether the log has witnesses, which may have seen a newer head. Give its ` +
      `policy with --policy <file>, or use --no-policy`,
  )
}
