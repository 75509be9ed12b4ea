import { auditLog, type AuditOptions, type LogFiles, type VerifierKey } from '../../client/index.ts'
import { hasCode } from '../../errors.ts'
import type { Terminal } from '../output/terminal.ts'
import type { Findings } from './report.ts'

/** A log to be rehashed. */
export interface AuditTarget {
  readonly files: LogFiles
  readonly origin: string
  readonly verifierKeys: readonly VerifierKey[]
  readonly partialTiles: 'stored' | 'derived'
}

/**
 * Rehashes a log, with a progress bar.
 *
 * @throws SteleError what keeps it from being looked at: `unreachable`, a checkpoint by another key, and the like
 */
export async function auditInto(
  findings: Findings,
  terminal: Terminal,
  target: AuditTarget,
  secondOpinion: boolean,
): Promise<void> {
  const bar = terminal.progress('rehashing')
  const options: AuditOptions = {
    ...target,
    onProgress: ({ entries, size }) => bar.at(entries, undefined, size),
  }
  try {
    findings.addAudit(await audit(target.files, options, secondOpinion))
  } catch (error) {
    // An entry or a file that the database has lost, or a second opinion: found, not failed.
    if (!hasCode(error, 'corrupt')) throw error
    findings.findings.push({
      kind: error.name === 'SteleError' ? 'database' : 'second_opinion',
      message: error.message,
    })
    findings.notChecked.push('what lies behind it')
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
