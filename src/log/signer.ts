import type { Head, SignedHead } from './head.ts'

/**
 * Signs the heads of one log, with keys that only it knows. The sequencer hands it heads that extend the last
 * stored one, and nothing else does.
 */
export interface HeadSigner {
  sign(head: Head): Promise<SignedHead>
  /**
   * Checks that both signatures are by this log's keys and speak of this size, root and origin.
   *
   * @throws SteleError `bad_signature`, `untrusted_signer`, `wrong_origin`, `malformed`
   */
  verify(head: SignedHead): void
}
