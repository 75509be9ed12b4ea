import type { ErrorCode } from '../errors.ts'

/** All requested work was done, and every check passed. */
export const EXIT_OK = 0
/** `fsck` completed and found damage; `repair` left some. */
export const EXIT_DAMAGED = 1
/** `verify`: the proof is for another entry. No error code corresponds to it, so it has its own number. */
export const EXIT_WRONG_ENTRY = 15
/** `poc`: a party did not notice an attack that it should, or noticed one that it should not. */
export const EXIT_UNNOTICED = 55
/** `poc`: a check failed before an attack, or the attack could not be carried out, so the attack showed nothing. */
export const EXIT_CONTROL_FAILED = 56
/**
 * `status`: the server responds, but is not ready. If one of its logs is halted or failed, the code is that of
 * `log_halted`.
 */
export const EXIT_NOT_READY = 57
/** The reader of standard output closed it early: 128 + SIGPIPE, as a shell reports it. */
export const EXIT_PIPE = 141
/** Ended by a second SIGINT or SIGTERM: 128 + SIGINT. */
export const EXIT_INTERRUPTED = 130

/**
 * The exit code of each error code. A new error code does not compile without one. Part of the command line's API:
 * numbers are added, never changed. Related codes share their tens digit, so that scripts can handle them as groups.
 */
export const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  // Wrong usage.
  usage: 2,
  already_exists: 3,
  not_found: 4,
  out_of_range: 5,
  too_large: 6,
  unauthenticated: 7,
  forbidden: 8,
  // A verification failed.
  malformed: 10,
  wrong_origin: 11,
  untrusted_signer: 12,
  bad_signature: 13,
  bad_proof: 14,
  fork: 16,
  rolled_back: 17,
  quorum_not_met: 18,
  // A log over the network.
  unreachable: 20,
  unexpected_answer: 21,
  rate_limited: 22,
  overloaded: 23,
  shutting_down: 24,
  log_halted: 25,
  outcome_unknown: 26,
  too_slow: 27,
  unsupported_media_type: 28,
  method_not_allowed: 29,
  untraceable: 41,
  frozen: 42,
  identity_unavailable: 43,
  wrong_host: 44,
  index_behind: 45,
  // A data folder cannot be opened.
  not_initialised: 30,
  foreign_format: 31,
  locked: 32,
  key_missing: 33,
  key_permissions: 34,
  wrong_key: 35,
  corrupt: 36,
  head_missing: 37,
  stale_size: 38,
  second_writer: 39,
  io_error: 40,
  internal: 70,
}
