import { isDenied } from '../client/served-proofs.ts'
import { SteleError, type ErrorCode } from '../errors.ts'
import type { FindingKind } from './finding.ts'

/** A failure that the log is responsible for, with the kind of finding that it becomes. */
export class Blamed extends SteleError {
  readonly kind: FindingKind
  /** What failed: a path, or the code of the error. */
  readonly subject: string

  constructor(kind: FindingKind, subject: string, cause: SteleError) {
    super(cause.code, cause.message, { cause })
    this.kind = kind
    this.subject = subject
  }
}

// Failures of the monitor itself. Every other failure of a request to a log counts as the log's.
const OURS: readonly ErrorCode[] = ['internal', 'usage', 'io_error']

// Failures in which the log served something wrong, as opposed to nothing at all.
const JUDGED: readonly ErrorCode[] = [
  'bad_proof',
  'bad_signature',
  'untrusted_signer',
  'wrong_origin',
  'malformed',
  'out_of_range',
  'not_found',
  'unexpected_answer',
]

/**
 * Runs a task on a log, and turns its failures into `Blamed` errors. The kind is `kind` if what the log served is wrong
 * or missing, `access_denied` if the log requires other credentials, and `unreachable` if nothing came that could be
 * checked.
 *
 * @param subject what the task checks; default: the code of the error
 * @throws Blamed; failures of the monitor itself are thrown on unchanged
 */
export async function blaming<T>(
  kind: FindingKind,
  subject: string | undefined,
  task: () => T | Promise<T>,
): Promise<T> {
  try {
    return await task()
  } catch (error) {
    if (!(error instanceof SteleError) || error instanceof Blamed || OURS.includes(error.code)) throw error
    if (isDenied(error)) throw new Blamed('access_denied', error.code, error)
    const shown = JUDGED.includes(error.code)
    throw new Blamed(shown ? kind : 'unreachable', subject ?? error.code, error)
  }
}
