import {
  auditLog,
  type AuditOptions,
  type AuditReport,
  type LogFiles,
  type VerifierKey,
} from '../../client/index.ts'
import { hasCode } from '../../errors.ts'
import type { Tree } from '../../tile/grow.ts'
import type { Terminal } from '../output/terminal.ts'
import type { Findings } from './report.ts'

/** A log to recompute. */
export interface AuditTarget {
  readonly files: LogFiles
  readonly origin: string
  readonly verifierKeys: readonly VerifierKey[]
  readonly policy?: AuditOptions['policy']
  readonly ofMirror?: AuditOptions['ofMirror']
  readonly partialTiles: 'stored' | 'derived'
  /** The tree at which an earlier audit stopped. */
  readonly from?: Tree | undefined
  /** Called after every bundle, besides the progress bar. */
  readonly onProgress?: AuditOptions['onProgress']
}

/**
 * Recomputes a log, with a progress bar.
 *
 * @returns the result of the audit; undefined if it could not be completed
 * @throws SteleError if the log cannot be checked: `unreachable`, a checkpoint by another key, and similar errors
 */
export async function auditInto(
  findings: Findings,
  terminal: Terminal,
  target: AuditTarget,
  secondOpinion: boolean,
): Promise<AuditReport | undefined> {
  const bar = terminal.progress('rehashing')
  const options: AuditOptions = {
    ...target,
    onProgress: (progress) => {
      bar.at(progress.entries, undefined, progress.size)
      target.onProgress?.(progress)
    },
  }
  try {
    const report = await audit(target.files, options, secondOpinion)
    findings.addAudit(report)
    return report
  } catch (error) {
    // An entry or file missing from the database, or a different second opinion, is a finding and not a failure.
    if (!hasCode(error, 'corrupt')) throw error
    findings.findings.push({
      kind: error.name === 'SteleError' ? 'database' : 'second_opinion',
      message: error.message,
    })
    findings.notChecked.push('what comes after it')
    return undefined
  } finally {
    bar.end()
  }
}

async function audit(files: LogFiles, options: AuditOptions, secondOpinion: boolean) {
  if (!secondOpinion) return auditLog(files, options)
  // Loaded only when needed: merkletreejs has many dependencies.
  const { SecondOpinion } = await import('./second-opinion.ts')
  const other = new SecondOpinion(files)
  return auditLog(other, { ...options, secondOpinion: other.judge })
}
