import { decodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { openCheckpoint, type LogIdentity } from '../note/checkpoint.ts'
import { MAX_ROTATIONS_CHARS, traceRotations, type FollowedKeys } from '../note/rotation.ts'
import { isPassing, retrying, type RetryLimits } from './retry.ts'
import type { Transport } from './transport.ts'

/** Where a log is asked what its old keys say of its new ones. */
export interface KeySource {
  /** The log's URLs begin with it; ends with a slash. */
  readonly prefix: string
  readonly transport: Transport
  readonly limits: RetryLimits
}

/**
 * For a checkpoint that no known key of a log has signed: fetches the log's rotation statements and follows them from
 * the known keys. Without a signature by one of these, a statement of the log is not trusted.
 *
 * @param log its origin, and the trusted keys
 * @param note the signed checkpoint
 * @returns all keys by which the log is trusted from now on, one of which has signed the note; a follower of the log
 *   stores the statements before it uses them
 * @throws SteleError `untrusted_signer` if no statement leads to a key that has signed it, with the reason: the log
 *   serves none, or one that does not verify; as `openCheckpoint` for a note with a bad signature by one of these keys.
 *   The signal's reason
 */
export async function learnKeys(source: KeySource, log: LogIdentity, note: string): Promise<FollowedKeys> {
  const followed = await statementsOf(source, log)
  try {
    openCheckpoint(note, { origin: log.origin, verifiers: followed.keys })
  } catch (error) {
    if (!(error instanceof SteleError) || error.code !== 'untrusted_signer') throw error
    throw unknown(log, 'and no statement leads to the key that has', error)
  }
  return followed
}

async function statementsOf(
  { prefix, transport, limits }: KeySource,
  log: LogIdentity,
): Promise<FollowedKeys> {
  const { signal } = limits
  try {
    const { body } = await retrying(transport.clock, limits, isPassing, (timeoutMs) =>
      transport.ask(`${prefix}v1/keys/rotations`, {
        maxBytes: MAX_ROTATIONS_CHARS,
        timeoutMs,
        signal,
        fresh: true,
      }),
    )
    return traceRotations(log, decodeUtf8(body, 'key rotations'))
  } catch (error) {
    if (signal?.aborted || !(error instanceof SteleError) || error.code === 'internal') throw error
    throw unknown(log, `and what its old keys say of new ones cannot be followed: ${error.message}`, error)
  }
}

function unknown({ origin }: LogIdentity, why: string, cause: SteleError): SteleError {
  return new SteleError(
    'untrusted_signer',
    `log ${origin}: no key that is known of it has signed its checkpoint, ${why}`,
    { cause },
  )
}
