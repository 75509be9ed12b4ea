import { z } from 'zod'
import { parseHex } from '../bytes/hex.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import type { Transport } from '../client/index.ts'
import { isPassing, retrying, type RetryLimits } from '../client/retry.ts'
import { SteleError } from '../errors.ts'
import { asHash } from '../merkle/hash.ts'
import type { AskProof } from './judge.ts'

/** A proof between sizes below 2^53 has at most 54 hashes. */
const MAX_ANSWER_BYTES = 16 * 1024
const answer = z.object({ path: z.array(z.string()) })

/**
 * How a log with private entries is followed by whoever may not read them: by proofs between sizes, which are for
 * everybody. Other logs than those of this program have no such route, and no private entries.
 *
 * @param prefix the log's URLs begin with it; ends with a slash
 */
export function askConsistency(prefix: string, transport: Transport, limits: RetryLimits): AskProof {
  return async (oldSize, newSize) => {
    const url = `${prefix}v1/proofs/consistency?old=${oldSize}&new=${newSize}`
    const { body } = await retrying(transport.clock, limits, isPassing, (timeoutMs) =>
      transport.ask(url, { maxBytes: MAX_ANSWER_BYTES, timeoutMs, signal: limits.signal }),
    )
    return pathOf(body, url).map((hash) => asHash(parseHex(hash, url), url))
  }
}

function pathOf(body: Uint8Array, where: string): string[] {
  try {
    return answer.parse(JSON.parse(decodeUtf8(body, where))).path
  } catch (cause) {
    throw new SteleError('unexpected_answer', `${where}: expected a consistency proof`, { cause })
  }
}
