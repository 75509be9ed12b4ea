import { STATUS_CODES } from 'node:http'
import type { SteleError } from '../errors.ts'
import type { Answered } from './witness.ts'
import type { Answer } from '../http/answer.ts'
import { problemOf, STATUS } from '../http/errors.ts'
import { NO_STORE, PLAIN_TEXT } from '../http/headers.ts'

/** The body of a conflict: a size in decimal and a line feed. Without a charset, for clients compare it as it is. */
export const SIZE_TYPE = 'text/x.tlog.size'

/**
 * Statuses of c2sp.org/tlog-witness. In other routes these codes are faults of the server; here they are the caller's.
 */
const REFUSALS: Readonly<Record<string, number>> = {
  untrusted_signer: 403,
  bad_signature: 403,
  bad_proof: 422,
  fork: 422,
  // Only for mirrors: entries before any checkpoint.
  stale_size: 422,
}

/** The answer of c2sp.org/tlog-witness to a request to sign. */
export function witnessAnswer(answered: Answered): Answer {
  switch (answered.kind) {
    case 'cosigned':
      return { status: 200, headers: { 'content-type': PLAIN_TEXT, ...NO_STORE }, body: answered.lines }
    case 'conflict':
      return { status: 409, headers: { 'content-type': SIZE_TYPE, ...NO_STORE }, body: `${answered.size}\n` }
    case 'refused':
      return refusal(answered.error)
  }
}

/** What a request to sign is refused with. */
export function refusal(error: SteleError): Answer {
  const status = REFUSALS[error.code] ?? STATUS[error.code]
  const problem = { ...problemOf(error), title: STATUS_CODES[status]!, status, detail: error.message }
  const headers = { 'content-type': 'application/problem+json', ...NO_STORE }
  return { status, headers, body: JSON.stringify(problem) }
}
