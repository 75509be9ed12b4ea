import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { LogFiles } from '../../client/log-files.ts'
import { SteleError } from '../../errors.ts'
import { openCheckpoint, type LogIdentity, type OpenedCheckpoint } from '../../note/checkpoint.ts'
import { parseVerifierKey } from '../../note/key.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { LogInfo } from '../../server/data-folder.ts'
import type { LogKeys } from '../../server/keys.ts'
import { readTextFile } from '../../server/files.ts'
import { restoreLog } from '../../server/restored-log.ts'
import { BACKUP_FILES } from '../backup/description.ts'
import { withCheckpoint } from '../backup/pinned-head.ts'
import { PATIENCE_MS } from '../context.ts'
import type { Terminal } from '../output/terminal.ts'
import { askWitnesses, openMirror } from './ask-witnesses.ts'
import { CatchUpFiles } from './catch-up.ts'
import { fillStore } from './fill.ts'
import { gatherSeen, type SeenOptions } from './gather.ts'
import { publishedRecord, restoredHead } from './head.ts'
import type { KeyOptions } from './keys.ts'
import { Comparison, openSeen } from './seen.ts'
import type { RestoreSource } from './source.ts'

/** What the operator says about a restore. */
export interface RestoreOptions extends SeenOptions, KeyOptions {
  readonly catchUp?: string
  /** A file; false if the log has no witnesses. */
  readonly policy?: string | false
  readonly withoutWitness?: readonly string[]
  readonly headFolder?: string
  readonly origin?: string
  readonly allowDuplicates?: boolean
}

/** What was restored. */
export interface Restored {
  readonly opened: OpenedCheckpoint
  readonly compared: readonly { readonly source: string; readonly size: number }[]
  readonly withoutWitnesses: readonly string[]
  readonly info: LogInfo
}

/** One restore: from where, to where, whose. */
export interface RestoreJob {
  readonly data: string
  readonly name: string
  readonly source: RestoreSource
  readonly keys: LogKeys
  readonly options: RestoreOptions
  readonly terminal: Terminal
}

/** The tree that is restored: the backup's, or with `--catch-up` a larger one that extends it. */
interface Target {
  readonly name: string
  readonly files: LogFiles
  readonly note: string
  readonly opened: OpenedCheckpoint
}

/**
 * Makes a log out of a backup or a copy, after everybody who may have seen more of it was asked.
 *
 * @throws SteleError `rolled_back` if somebody has seen a larger head; `fork`, with evidence; `unreachable` for a
 *   witness or mirror that does not answer; `corrupt` naming the first damage; `already_exists`, `key_missing` and the
 *   like. In each case nothing is in the log's place
 */
export async function restore(job: RestoreJob): Promise<Restored> {
  const { data, name, source, keys, options, terminal } = job
  const verifier = parseVerifierKey(keys.verifierKey)
  const origin = options.origin ?? source.description?.origin ?? verifier.name
  const log: LogIdentity = { origin, verifiers: [verifier] }
  const info = logInfo(job, origin)
  const policy = await policyOf(job)
  const published = await source.beside(BACKUP_FILES.published)
  const evidence = join(data, 'evidence')

  const target = await targetOf(job, log, evidence)
  const { opened, files, note } = target
  const { seen, signedAtMs } = await gatherSeen(log, options, info.headFile, published)
  const restored = { ...openSeen(target.name, note, log), files }
  const comparison = new Comparison(log, restored, evidence)
  for (const head of seen) await comparison.compare(head)
  const { treeHead } = source.description ?? {}
  const known = treeHead ? [treeHead.timestampMs, ...signedAtMs] : signedAtMs
  const nowMs = Date.now()
  const head = await restoredHead({
    name: source.name,
    opened,
    keys,
    treeHead,
    signedAtMs: known,
    nowMs,
  })
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
    await restoreLog(data, { name, info, keys, head, policy, published: shown?.record }, (store) =>
      fillStore(store, target.name, withCheckpoint(files, note), log, (entries, size) =>
        bar.at(entries, '', size),
      ),
    )
  } finally {
    bar.end()
  }
  return { opened, compared: comparison.compared, withoutWitnesses, info }
}

async function targetOf(
  { source, options }: RestoreJob,
  log: LogIdentity,
  evidence: string,
): Promise<Target> {
  const { name, files } = source
  const note = await files.checkpoint()
  const backup = { ...openSeen(join(name, 'checkpoint'), note, log), files }
  const base: Target = { name, files, note, opened: openCheckpoint(note, log) }
  if (options.catchUp === undefined) return base
  const more = await openMirror(options.catchUp, PATIENCE_MS)
  const seen = openSeen(options.catchUp, more.note, log, more.files)
  const { size } = backup.head
  // Either way round the smaller one must be a prefix of the larger.
  await new Comparison(log, backup, evidence).compare(seen)
  if (seen.head.size <= size) return base
  return {
    name: `${name} with ${options.catchUp}`,
    files: new CatchUpFiles(files, size, more.files, more.note),
    note: more.note,
    opened: openCheckpoint(more.note, log),
  }
}

function logInfo(
  { name, source, keys, options: { headFolder, ...options } }: RestoreJob,
  origin: string,
): LogInfo {
  const headFile = headFolder ? resolve(headFolder, `${name}.head`) : source.description?.headFile
  if (headFile !== undefined && !existsSync(dirname(headFile))) {
    throw new SteleError(
      'usage',
      `${dirname(headFile)}: the log kept its head file there, and there is no such folder; name another one with ` +
        `--head-folder`,
    )
  }
  return {
    origin,
    verifierKey: keys.verifierKey,
    treeHeadKey: keys.treeHeadPublicKey,
    allowDuplicates: options.allowDuplicates ?? source.description?.allowDuplicates ?? false,
    createdAt: source.description?.createdAt ?? new Date().toISOString(),
    ...(headFile === undefined ? {} : { headFile }),
  }
}

/** The text of the log's policy; undefined for a log that has none. */
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
    `${source.name}: it does not say whether the log has witnesses, who would know if more was signed. Hand in its ` +
      `policy with --policy <file>, or say --no-policy`,
  )
}
