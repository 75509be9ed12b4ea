import { isDenied } from '../client/served-proofs.ts'
import { SteleError, type ErrorCode } from '../errors.ts'
import type { FindingKind } from './finding.ts'

/** A failure of the log's, as the kind of finding that it is. */
export class Blamed extends SteleError {
  readonly kind: FindingKind
  /** What failed: a path, or the failure's code. */
  readonly subject: string

  constructor(kind: FindingKind, subject: string, cause: SteleError) {
    super(cause.code, cause.message, { cause })
    this.kind = kind
    this.subject = subject
  }
}

// Failures of ours. Everything else that goes wrong between us and a log is the log's to explain.
const OURS: readonly ErrorCode[] = ['internal', 'usage', 'io_error']

// Failures that show something wrong, and not just nothing at all.
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
 * Runs a task on a log, and gives its failures a kind: `kind` if what the log served is wrong or missing, `access_denied`
 * if it asks for other credentials, `unreachable` if nothing came that could be judged.
 *
 * @param subject what is looked at; default: the code of the failure
 * @throws Blamed; failures that are not the log's as they are
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
