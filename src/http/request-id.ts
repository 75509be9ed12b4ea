import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** What is taken over from a caller: nothing that could break a line of a log, or a page that shows one. */
const SANE = /^[A-Za-z0-9._-]{1,64}$/

/** Names for requests: the caller's own (`X-Request-Id`) where it is sane, else one that no other server makes. */
export function requestIds(): (req: IncomingMessage) => string {
  const prefix = randomBytes(6).toString('hex')
  let made = 0
  return ({ headers }) => {
    const given = headers['x-request-id']
    return typeof given === 'string' && SANE.test(given) ? given : `${prefix}-${(made++).toString(36)}`
  }
}
