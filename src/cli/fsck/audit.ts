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

/** A log to be rehashed. */
export interface AuditTarget {
  readonly files: LogFiles
  readonly origin: string
  readonly verifierKeys: readonly VerifierKey[]
  readonly policy?: AuditOptions['policy']
  readonly ofMirror?: AuditOptions['ofMirror']
  readonly partialTiles: 'stored' | 'derived'
  /** The tree that an earlier audit left off at. */
  readonly from?: Tree | undefined
  /** Told after every bundle, besides the progress bar. */
  readonly onProgress?: AuditOptions['onProgress']
}

/**
 * Rehashes a log, with a progress bar.
 *
 * @returns what the audit says; nothing if it could not be brought to an end
 * @throws SteleError what keeps it from being looked at: `unreachable`, a checkpoint by another key, and the like
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
    // An entry or a file that the database has lost, or a second opinion: found, not failed.
    if (!hasCode(error, 'corrupt')) throw error
    findings.findings.push({
      kind: error.name === 'SteleError' ? 'database' : 'second_opinion',
      message: error.message,
    })
    findings.notChecked.push('what lies behind it')
    return undefined
  } finally {
    bar.end()
  }
}

async function audit(files: LogFiles, options: AuditOptions, secondOpinion: boolean) {
  if (!secondOpinion) return auditLog(files, options)
  // Not at the top: merkletreejs brings much with it that nobody else needs.
  const { SecondOpinion } = await import('./second-opinion.ts')
  const other = new SecondOpinion(files)
  return auditLog(other, { ...options, secondOpinion: other.judge })
}
