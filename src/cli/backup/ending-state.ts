import { z } from 'zod'
import { decodeUtf8 } from '../../bytes/text.ts'
import { logPrefix } from '../../client/http-files.ts'
import { Transport } from '../../client/transport.ts'
import { hasCode } from '../../errors.ts'
import type { EndingState } from './description.ts'

const MAX_LIST_BYTES = 4 * 1024 * 1024

const list = z.object({
  logs: z.array(
    z.object({ path: z.string(), origin: z.string(), state: z.string(), successor: z.string().optional() }),
  ),
})

/**
 * Asks the server of a log whether that has ended. Asked after the checkpoint was read, its answer may say of a log that
 * it has ended which had not at that checkpoint, but never the other way round.
 *
 * @param url the log's prefix
 * @returns undefined where nobody says so: a static copy, a server that is starting, a log that is halted
 * @throws SteleError `unreachable`
 */
export async function readEndingState(
  url: string,
  origin: string,
  headers: Readonly<Record<string, string>>,
): Promise<EndingState | undefined> {
  const { pathname } = new URL(logPrefix(url))
  const prefix = /^(.*)\/logs\/[^/]+\/$/.exec(pathname)?.[1]
  if (prefix === undefined) return undefined
  try {
    const transport = new Transport({ headers })
    const asked = new URL(`${prefix}/v1/logs`, url).href
    const answer = await transport.ask(asked, { maxBytes: MAX_LIST_BYTES, fresh: true })
    const { logs } = list.parse(JSON.parse(decodeUtf8(answer.body, 'v1/logs')))
    const found = logs.find((log) => log.origin === origin && pathname.endsWith(ended(log.path)))
    if (found?.state === 'frozen' || found?.successor !== undefined) {
      return { frozen: true, ...(found.successor === undefined ? {} : { successor: found.successor }) }
    }
    // Of any other state nothing follows: a log that waits for its witnesses may have ended long ago.
    return found?.state === 'serving' || found?.state === 'indexing' ? { frozen: false } : undefined
  } catch (error) {
    if (hasCode(error, 'unreachable')) throw error
    return undefined
  }
}

/**
 * Asks a copy of a log, which need not be its operator's own, whether the log has ended. Only that it has is taken from
 * it: whoever says that it has not could make a frozen log take entries.
 *
 * @throws SteleError `unreachable`
 */
export async function readEnd(
  url: string,
  origin: string,
  headers: Readonly<Record<string, string>>,
): Promise<EndingState | undefined> {
  const state = await readEndingState(url, origin, headers)
  return state?.frozen ? state : undefined
}

function ended(path: string): string {
  return path.endsWith('/') ? path : `${path}/`
}
