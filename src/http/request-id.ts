import { randomFillSync } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { redact } from '../access/redact.ts'

/** What is taken over from a caller: nothing that could break a line of a log, or a page that shows one. */
const SANE = /^[A-Za-z0-9._-]{1,64}$/
/** No two requests of any servers ever get one name, and a name tells nothing of how many others there were. */
const NAME_BYTES = 12
/** Random bytes are taken for many names at once: asking for a few costs as much as for thousands. */
const POOL_BYTES = 512 * NAME_BYTES

/** Names for requests: the caller's own (`X-Request-Id`) where it is sane, else a random one. */
export function requestIds(): (req: IncomingMessage) => string {
  const pool = Buffer.alloc(POOL_BYTES)
  let used = POOL_BYTES
  const made = (): string => {
    if (used === POOL_BYTES) {
      randomFillSync(pool)
      used = 0
    }
    return pool.toString('base64url', used, (used += NAME_BYTES))
  }
  return ({ headers }) => {
    const given = headers['x-request-id']
    return typeof given === 'string' && SANE.test(given) && redact(given) === given ? given : made()
  }
}
