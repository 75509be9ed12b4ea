import { encodeUtf8 } from '../bytes/text.ts'
import type { SignedHead } from '../log/head.ts'
import { sha256 } from '../merkle/hash.ts'
import type { Answer } from './answer.ts'
import { hexOf } from './accept.ts'
import { CORS_HEADERS, NO_CACHE, PLAIN_TEXT } from './headers.ts'

/** The checkpoint of a head, or 304 for a caller that has it. Its ETag costs little compared with its signature. */
export function checkpointAnswer(
  { checkpoint }: Pick<SignedHead, 'checkpoint'>,
  ifNoneMatch: string | undefined,
): Answer {
  const etag = `"${hexOf(sha256(encodeUtf8(checkpoint)).subarray(0, 16))}"`
  const headers = { 'content-type': PLAIN_TEXT, etag, ...CORS_HEADERS, ...NO_CACHE }
  return matches(ifNoneMatch, etag) ? { status: 304, headers } : { status: 200, headers, body: checkpoint }
}

/** The other status of {@link checkpointAnswer}, for the API's description. */
export const NOT_MODIFIED = {
  304: { description: 'The checkpoint is still the one whose ETag is in If-None-Match.' },
} as const

/** RFC 9110 section 13.1.2. Weak tags match too: a proxy that compresses the answer makes its tag weak. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag)
}
