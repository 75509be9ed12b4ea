import { randomFillSync } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { redact } from '../access/redact.ts'
import type { ErrorCode } from '../errors.ts'
import { STATUS } from './errors.ts'
import type { Exchange } from './trail.ts'
import type { Logger } from './logger.ts'

/** Log lines per error code and second. Further ones are only counted. */
const LINES_PER_SECOND = 5
const SECOND_MS = 1000
/** Not a slow request: it waits because the caller asked for it. */
const LONG_POLL = '/logs/{log}/v1/checkpoint'

interface Repeated {
  lines: number
  untold: number
}

/**
 * Writes a line for every refused request and for every slow one. Lines are written synchronously and each costs a
 * system call, so a flood of refusals becomes a few lines and a count for each code and second.
 *
 * @param slowMs 0: no lines for slow requests
 */
export function requestLog(logger: Logger, slowMs: number): (exchange: Exchange) => void {
  const seen = new Map<ErrorCode, Repeated>()
  const startSecond = (code: ErrorCode): Repeated => {
    const repeated = { lines: 0, untold: 0 }
    seen.set(code, repeated)
    setTimeout(() => {
      seen.delete(code)
      const { untold } = repeated
      if (untold > 0) logger.warn({ code, refused: untold }, `refused ${untold} more requests of this kind`)
    }, SECOND_MS).unref()
    return repeated
  }
  return (exchange) => {
    const { error, route, tookMs } = exchange
    if (error) {
      const repeated = seen.get(error.code) ?? startSecond(error.code)
      if (repeated.lines < LINES_PER_SECOND) {
        repeated.lines++
        tellRefused(logger, exchange, error.code)
      } else repeated.untold++
    } else if (slowMs > 0 && tookMs >= slowMs && route.path !== LONG_POLL) {
      logger.warn(fieldsOf(exchange), 'slow request')
    }
  }
}

/** Logs a refusal. Faults of the server get their stack; faults of the caller and transient refusals do not. */
function tellRefused(logger: Logger, exchange: Exchange, code: ErrorCode): void {
  const fields = { ...fieldsOf(exchange), code }
  const { message } = exchange.error!
  const status = STATUS[code]
  if (status === 500) logger.error({ ...fields, err: exchange.error }, message)
  else if (status > 500) logger.warn(fields, message)
  else logger.info?.(fields, message)
}

function fieldsOf({ route, call, answer, tookMs, requestId }: Exchange): object {
  return {
    requestId,
    method: call.req.method,
    route: route.path,
    // As the caller sent it: there may be no log of this name.
    ...(call.path['log'] === undefined ? {} : { log: call.path['log'].slice(0, 63) }),
    status: answer.status,
    tookMs: Math.round(tookMs * 10) / 10,
  }
}

/** Request IDs that are accepted from callers: nothing that could break a log line, or a page that shows it. */
const SANE = /^[A-Za-z0-9._-]{1,64}$/
/** Enough that no two requests of any servers get the same ID. Random, so that an ID reveals no request count. */
const NAME_BYTES = 12
/** Random bytes are drawn for many IDs at once: drawing a few costs as much as thousands. */
const POOL_BYTES = 512 * NAME_BYTES

/** Request IDs: the caller's own (`X-Request-Id`) if it is acceptable, else a random one. */
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
