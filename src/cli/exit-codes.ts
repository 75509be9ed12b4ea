import type { ErrorCode } from '../errors.ts'

/** Everything that was asked for was done, and everything that was to be checked was checked and holds. */
export const EXIT_OK = 0
/** `fsck` could look at everything and found damage; `repair` left some. */
export const EXIT_DAMAGED = 1
/** `verify`: the proof is of another entry. No error code of the library stands for it, so it has a number of its own. */
export const EXIT_WRONG_ENTRY = 15
/** `poc`: an attack went unnoticed, or was noticed by others than the threat model says. */
export const EXIT_UNNOTICED = 55
/** `poc`: something was wrong before an attack, or it could not be carried out, so that it showed nothing. */
export const EXIT_CONTROL_FAILED = 56
/** `status`: the server answers, and is not ready. A log of it that is halted or failed gives the code of `log_halted`. */
export const EXIT_NOT_READY = 57
/** Whoever reads our output went away before the end: 128 + SIGPIPE, as a shell reports it. */
export const EXIT_PIPE = 141
/** Stopped by a second SIGINT or SIGTERM: 128 + SIGINT. */
export const EXIT_INTERRUPTED = 130

/**
 * The exit code of every error code. A new code does not compile until it has one. Part of the command line's API:
 * numbers are added, never changed. Tens group them, so that a script can treat a group alike.
 */
export const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  // How it was called.
  usage: 2,
  already_exists: 3,
  not_found: 4,
  out_of_range: 5,
  too_large: 6,
  unauthenticated: 7,
  forbidden: 8,
  // What was verified does not hold.
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
  // A data folder that is not opened.
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
