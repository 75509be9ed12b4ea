/**
 * What went wrong, for programs. Part of the API: codes are added, never renamed.
 * `proto-docs/errors.md` says for each one what it means and what to do.
 */
export type ErrorCode =
  // The caller's fault: the same request will fail again.
  | 'malformed' // bytes or text do not follow the format they claim
  | 'out_of_range' // a well-formed index or size outside the tree, or beyond 2^53-1
  | 'not_found' // no such log, entry, hash, tile or route
  | 'unauthenticated' // credentials are missing or not valid
  | 'forbidden' // valid credentials without the permission for this request
  | 'wrong_host' // the request names a server that this one is not
  | 'method_not_allowed' // the route exists, the method does not
  | 'unsupported_media_type' // a batch in a format that is not one of the two
  | 'too_large' // an entry, a batch or a body above its limit
  | 'too_slow' // a body that arrived too slowly, or not at all
  | 'usage' // an invalid command line or configuration
  | 'already_exists' // the thing to create exists already
  // Verification: what was checked did not hold.
  | 'bad_proof' // a proof does not lead to the expected root hash
  | 'bad_signature' // a signature by a known key does not verify
  | 'untrusted_signer' // no signature by a key the caller trusts
  | 'quorum_not_met' // signed by the log, but not by the witnesses that a policy asks for
  | 'wrong_origin' // a checkpoint of another log
  | 'fork' // two signed heads of one log that contradict each other
  // The world's fault: trying later may help.
  | 'rate_limited' // this caller holds more than its share of the queue; nothing was logged
  | 'overloaded' // the queue is full for everyone; nothing was logged
  | 'shutting_down' // the server is stopping; nothing was logged
  | 'index_behind' // the leaf index is being rebuilt, so duplicates cannot be detected; nothing was logged
  | 'frozen' // this log is read-only, permanently; nothing was logged
  | 'log_halted' // this log takes no writes until an operator acts, or until the disk has space again
  | 'identity_unavailable' // tokens cannot be checked: the keys of the identity provider cannot be fetched
  | 'untraceable' // the audit trail could not record the request, so it is refused or not acknowledged
  | 'outcome_unknown' // the write may or may not be on disk; repeating it is safe
  | 'unreachable' // a server did not answer, or not with HTTP
  | 'unexpected_answer' // a server answered something that the protocol does not allow
  | 'io_error' // reading or writing a file failed
  // A data folder that will not be opened, and why.
  | 'not_initialised' // missing or incomplete
  | 'foreign_format' // a folder of a newer version, or of another program
  | 'locked' // another process has it open
  | 'key_missing' // a log without its private key
  | 'key_permissions' // a private key that others than its owner can read
  | 'wrong_key' // a private key that is not this log's
  | 'corrupt' // stored bytes contradict a signed head
  | 'rolled_back' // the database is older than the last head that was signed
  | 'head_missing' // the second copy of the last signed head is gone
  | 'second_writer' // something else writes to this log's head file
  | 'stale_size' // a commit that grows from another size than the stored one
  | 'internal' // a bug in this program

/** What an error carries beside its code and message. */
export interface SteleErrorOptions extends ErrorOptions {
  readonly retryAfterSeconds?: number | undefined
  readonly limit?: number
  readonly successor?: string | undefined
  readonly acknowledged?: Acknowledged | undefined
}

/** What a log said of entries that it took. Nothing of it is verified. */
export interface Acknowledged {
  /** The index of each entry, in the order in which they were sent. */
  readonly indexes: readonly number[]
}

/** A failure that a program can tell apart by its `code`, and a person understands by its message. */
export class SteleError extends Error {
  override readonly name = 'SteleError'
  readonly code: ErrorCode
  /** For 429 and 503: after how many seconds trying again makes sense. */
  readonly retryAfterSeconds: number | undefined
  /** For 429: how many requests are granted at once. */
  readonly limit: number | undefined
  /** For `frozen`: the URL of the log that continues this one. */
  readonly successor: string | undefined
  /** For an append that failed after the log had taken the entries: where the log says that they are. */
  readonly acknowledged: Acknowledged | undefined

  constructor(code: ErrorCode, message: string, options: SteleErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.successor = options.successor
    this.acknowledged = options.acknowledged
    this.retryAfterSeconds = options.retryAfterSeconds
    this.limit = options.limit
  }
}

/** States a fact that only a bug in this program can make false. */
export function invariant(fact: boolean, message: string): asserts fact {
  if (!fact) throw new SteleError('internal', `internal error: ${message}`)
}

/** True for a `SteleError` with one of the given codes. */
export function hasCode(error: unknown, ...codes: ErrorCode[]): error is SteleError {
  return error instanceof SteleError && codes.includes(error.code)
}
