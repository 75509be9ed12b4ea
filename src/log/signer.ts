import type { Head, SignedHead } from './head.ts'

/**
 * Signs the heads of one log, with keys that only it knows. The sequencer hands it heads that extend the last
 * stored one, and nothing else does.
 */
export interface HeadSigner {
  /**
   * When its keys changed last, in milliseconds since 1970: it signs no head of an earlier time, and one that was signed
   * before then is signed anew when the log is opened. Default: they never changed.
   */
  readonly sinceMs?: number
  sign(head: Head): Promise<SignedHead>
  /**
   * Checks that all signatures that a head of its time must have are by this log's keys, and speak of this size, root
   * and origin.
   *
   * @throws SteleError `bad_signature`, `untrusted_signer`, `wrong_origin`, `malformed`
   */
  verify(head: SignedHead): void
}
