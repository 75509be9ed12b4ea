import type { Logger } from 'pino'
import { SteleError } from '../errors.ts'
import type { CosignerMetrics } from './cosigner-metrics.ts'
import type { EvidenceEvents } from './evidence.ts'
import type { EvidenceFolder } from './evidence-folder.ts'

/** Tells the operator of a witness or a mirror what a log did: its metrics, and its own log. */
export function evidenceReports(
  evidence: EvidenceFolder,
  metrics: Pick<CosignerMetrics, 'contradiction'>,
  logger: Logger,
): EvidenceEvents {
  return {
    contradiction(found, kept) {
      const { kind, log } = found
      const failed = kept instanceof SteleError
      metrics.contradiction(log.origin, kind, failed ? 'failed' : kept)
      const file = evidence.pathOf(found)
      const fields = { origin: log.origin, kind, file, ...(failed ? { err: kept } : { evidence: kept }) }
      // Proofs that do not hold are anybody's to send; two signatures are not.
      if (kind === 'inconsistent' && !failed)
        logger.warn(fields, 'a signed checkpoint does not go with what is held')
      else logger.error(fields, 'a log contradicts itself')
    },
  }
}
