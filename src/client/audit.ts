import { SteleError } from '../errors.ts'
import type { Checkpoint, OpenedCheckpoint } from '../note/checkpoint.ts'
import { parseVerifierKey } from '../note/key.ts'
import { openTrusted } from '../policy/evaluate.ts'
import type { Tree } from '../tile/grow.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import type { AuditFinding } from './audit-finding.ts'
import type { AuditOptions } from './audit-options.ts'
import { AuditWalk } from './audit-walk.ts'
import type { LogFiles } from './log-files.ts'
import { checkHasBundles } from './verified-entries.ts'

/** What an audit found, and what it looked at. */
export interface AuditReport {
  readonly verdict: 'intact' | 'damaged'
  /** Where the audit stopped, if the log is damaged. */
  readonly finding: AuditFinding | undefined
  readonly checkpoint: Checkpoint
  readonly checked: {
    /** Entries [begin, end). */
    readonly entries: { readonly begin: number; readonly end: number }
    readonly tiles: number
    readonly secondOpinions: number
    /** True if the entries make the root hash that was signed. */
    readonly root: boolean
  }
  /** A sentence for each thing that was left out. */
  readonly notChecked: readonly string[]
  /** For an intact log: hand it in as `from` next time. */
  readonly tree: Tree | undefined
}

/**
 * Recomputes a log from its entries and compares everything that is stored: entries, tiles of every level, the
 * signed head. Memory stays bounded, whatever the size.
 *
 * @returns after the first finding, since nothing behind it can be judged
 * @throws SteleError as `openTrusted`; `foreign_format` for a static-ct log; `rolled_back` for a log smaller than `from`; whatever the files and the
 *   second opinion throw
 */
export async function auditLog(files: LogFiles, options: AuditOptions): Promise<AuditReport> {
  const verifiers = options.verifierKeys.map((key) => (typeof key === 'string' ? parseVerifierKey(key) : key))
  const { origin, policy, ofMirror } = options
  checkHasBundles({ origin, verifiers })
  const opened = openTrusted(await files.checkpoint(), { origin, verifiers, policy, ofMirror })
  const begin = options.from?.size ?? 0
  if (opened.checkpoint.size < begin) {
    throw new SteleError(
      'rolled_back',
      `log ${options.origin}: its head is of size ${opened.checkpoint.size}, but ${begin} entries were audited before`,
    )
  }
  const walk = new AuditWalk(files, opened.checkpoint, options)
  const finding = await walk.run()
  return {
    verdict: finding ? 'damaged' : 'intact',
    finding,
    checkpoint: opened.checkpoint,
    checked: {
      entries: { begin, end: walk.tree.size },
      tiles: walk.tiles,
      secondOpinions: walk.secondOpinions,
      root: !finding,
    },
    notChecked: notChecked(options, opened, finding ? walk.tree.size : undefined),
    tree: finding ? undefined : walk.tree,
  }
}

function notChecked(
  { from, partialTiles, secondOpinion }: AuditOptions,
  { checkpoint, note }: OpenedCheckpoint,
  stoppedAt: number | undefined,
): string[] {
  const rest = checkpoint.size % TILE_WIDTH
  const list: string[] = []
  if (from && from.size > 0) list.push(`entries 0 to ${from.size - 1} and their tiles: audited before`)
  if (stoppedAt !== undefined)
    list.push(`what lies behind entry ${stoppedAt}: the audit ended at the finding`)
  if (partialTiles === 'derived') list.push('partial tiles: this source does not store them')
  if (secondOpinion && rest > 0) {
    list.push(`a second opinion on the last ${rest} entries: their tile is not full`)
  }
  if (note.unverified.length > 0) list.push(`${note.unverified.length} signature lines by keys not given`)
  return list
}
