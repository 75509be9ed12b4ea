import { z } from 'zod'
import { decodeUtf8 } from '../bytes/text.ts'
import type { Transport } from '../client/index.ts'
import { hasCode, SteleError } from '../errors.ts'

const MAX_ANSWER_BYTES = 64 * 1024
const answer = z.object({
  origin: z.string(),
  state: z.string(),
  successor: z.string().max(8192).optional(),
  treeSize: z.int().min(0).optional(),
  timestampMs: z.int().min(0).optional(),
})

/** What a log reports about itself. It is not signed. */
export interface LogWord {
  readonly state: string
  readonly successor?: string | undefined
  /** Size and time of the head that it shows; the time is the log's. */
  readonly treeSize?: number | undefined
  readonly timestampMs?: number | undefined
  /** When the log sent this report, by the same clock, in milliseconds since 1970, rounded up. */
  readonly saidMs: number
}

/** Asks a log of this program whether it has ended, at `v1/logs/<name>` of its server. */
export class LogWords {
  readonly #url: string | undefined
  readonly #origin: string
  readonly #transport: Transport
  readonly #signal: AbortSignal | undefined
  #isThere = true

  /** @param prefix the start of the log's URLs, ending with a slash */
  constructor(prefix: string, transport: Transport, origin: string, signal: AbortSignal | undefined) {
    const [, server, name] = /^(.*\/)logs\/([^/]+)\/$/.exec(prefix) ?? []
    this.#url = name === undefined ? undefined : `${server}v1/logs/${name}`
    this.#origin = origin
    this.#transport = transport
    this.#signal = signal
  }

  /**
   * Asks once. A failed request is repeated in the next round.
   *
   * @returns undefined if the server says nothing about this log
   * @throws the signal's reason
   */
  async ask(): Promise<LogWord | undefined> {
    if (this.#url === undefined || !this.#isThere) return undefined
    try {
      const ask = { maxBytes: MAX_ANSWER_BYTES, signal: this.#signal, fresh: true }
      const { body, headers } = await this.#transport.ask(this.#url, ask)
      const word = answer.safeParse(asJson(body))
      const dateMs = Date.parse(headers.get('date') ?? '')
      // The header has whole seconds. Without it the monitor's own clock is used.
      const saidMs = Number.isNaN(dateMs) ? this.#transport.clock.nowMs() : dateMs + 1000
      return word.success && word.data.origin === this.#origin ? { ...word.data, saidMs } : undefined
    } catch (error) {
      if (this.#signal?.aborted || !(error instanceof SteleError)) throw error
      // A log served as static files has no such route, and gets none while it is watched.
      this.#isThere = !hasCode(error, 'not_found')
      return undefined
    }
  }
}

function asJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(decodeUtf8(body, 'answer about a log')) as unknown
  } catch {
    return undefined
  }
}
