import { z } from 'zod'
import { parseHex } from '../bytes/hex.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import type { Transport } from '../client/index.ts'
import { isPassing, retrying, type RetryLimits } from '../client/retry.ts'
import { SteleError } from '../errors.ts'
import { asHash } from '../merkle/hash.ts'
import { Blamed, isDenied } from './blame.ts'
import type { AskProof } from './judge.ts'

/** A proof between sizes below 2^53 has at most 54 hashes. */
const MAX_ANSWER_BYTES = 16 * 1024
const answer = z.object({ path: z.array(z.string()) })

/** Where the log is, and how it is asked. */
export interface ProofSource {
  /** The log's URLs begin with it; ends with a slash. */
  readonly prefix: string
  readonly transport: Transport
  readonly limits: RetryLimits
  /** Without a key, of a log that never showed an entry: then a refusal is no surprise. */
  readonly asAnybody: () => boolean
}

/**
 * How a log with private entries is followed without reading them: by proofs between sizes, which take a key of the role
 * monitor. Other logs than those of this program have no such route, and no private entries.
 *
 * @returns what throws Blamed `unproven` where the log shows the proof to keys alone, and none was given
 */
export function askConsistency({ prefix, transport, limits, asAnybody }: ProofSource): AskProof {
  return async (oldSize, newSize) => {
    const url = `${prefix}v1/proofs/consistency?old=${oldSize}&new=${newSize}`
    try {
      const { body } = await retrying(transport.clock, limits, isPassing, (timeoutMs) =>
        transport.ask(url, { maxBytes: MAX_ANSWER_BYTES, timeoutMs, signal: limits.signal }),
      )
      return pathOf(body, url).map((hash) => asHash(parseHex(hash, url), url))
    } catch (error) {
      if (!isDenied(error) || !asAnybody()) throw error
      throw new Blamed('unproven', `from ${oldSize}`, keyWanted(oldSize, newSize, error as SteleError))
    }
  }
}

/** No accusation: the log says that it is there, and who may see the proof. */
function keyWanted(oldSize: number, newSize: number, cause: SteleError): SteleError {
  return new SteleError(
    cause.code,
    `that the tree of size ${newSize} extends the accepted one of size ${oldSize} could NOT BE PROVEN: the log shows ` +
      'this proof to callers with a key (the role monitor suffices), and none was given. Nothing speaks against the new ' +
      'head; it is not accepted until the proof is shown',
    { cause },
  )
}

function pathOf(body: Uint8Array, where: string): string[] {
  try {
    return answer.parse(JSON.parse(decodeUtf8(body, where))).path
  } catch (cause) {
    throw new SteleError('unexpected_answer', `${where}: expected a consistency proof`, { cause })
  }
}
