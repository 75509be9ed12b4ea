import { Counter, Histogram, Registry } from 'prom-client'
import type { LogObserver } from '../../log/observer.ts'

/**
 * Counts events of logs, from before they are opened. Labels are names of logs, names of witnesses, and error codes.
 */
export interface LogMeters {
  /** The registry of all metrics of the process. */
  readonly registry: Registry
  /** The observer for the log of this name. */
  observer(log: string): LogObserver
  /** Counts a request to a witness. `outcome` is `cosigned` or an error code. */
  witness(log: string, witness: string, outcome: string, tookMs?: number): void
}

/** From a single entry on a fast disk to a stall. */
const COMMIT_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
const BATCH_ENTRIES = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384]
/** From a nearby witness to the longest timeout. */
const WITNESS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60]

const FORESEEN = ['overloaded', 'rate_limited', 'log_halted', 'index_behind', 'outcome_unknown']

/** Meters with their own registry, so that two servers can live in one process. */
export function createLogMeters(): LogMeters {
  const registry = new Registry()
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> =>
    new Counter({ name, help, labelNames, registers })
  const histogram = <Label extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: Label[],
  ): Histogram<Label> => new Histogram({ name, help, buckets, labelNames, registers })
  const commits = histogram(
    'stele_commit_duration_seconds',
    'From the start of a commit until its signed head is in the database and the head file.',
    COMMIT_SECONDS,
    ['log'],
  )
  const batches = histogram('stele_commit_entries', 'Entries of one commit.', BATCH_ENTRIES, ['log'])
  const syncs = counter('stele_syncs_total', 'Sync calls to the disk.', ['log', 'what'])
  const duplicates = counter(
    'stele_duplicate_entries_total',
    'Submitted entries that were in the log already.',
    ['log'],
  )
  const refusals = counter('stele_append_refusals_total', 'Submissions that were refused, by error code.', [
    'log',
    'code',
  ])
  const witnesses = counter('stele_witness_requests_total', 'Requests to a witness to cosign a head.', [
    'log',
    'witness',
    'outcome',
  ])
  const witnessTimes = histogram(
    'stele_witness_duration_seconds',
    'How long a witness took to cosign.',
    WITNESS_SECONDS,
    ['log', 'witness'],
  )
  return {
    registry,
    observer(log) {
      // Starts each series at zero, so that Prometheus sees the first event as an increase.
      for (const code of FORESEEN) refusals.inc({ log, code }, 0)
      for (const what of ['database', 'head', 'index']) syncs.inc({ log, what }, 0)
      duplicates.inc({ log }, 0)
      commits.zero({ log })
      batches.zero({ log })
      // Looking a series up by its labels costs more than counting.
      const [commit, batch, duplicate] = [commits.labels(log), batches.labels(log), duplicates.labels(log)]
      const sync = {
        database: syncs.labels(log, 'database'),
        head: syncs.labels(log, 'head'),
        index: syncs.labels(log, 'index'),
      }
      return {
        committed(entries, tookMs) {
          commit.observe(tookMs / 1000)
          batch.observe(entries)
        },
        synced: (what) => sync[what].inc(),
        recognised: (entries) => duplicate.inc(entries),
        refused: (code) => refusals.inc({ log, code }),
      }
    },
    witness(log, witness, outcome, tookMs) {
      witnesses.inc({ log, witness, outcome })
      if (tookMs !== undefined) witnessTimes.observe({ log, witness }, tookMs / 1000)
    },
  }
}
