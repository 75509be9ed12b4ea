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

/** What a log says of itself when it is asked. Nobody has signed it. */
export interface LogWord {
  readonly state: string
  readonly successor?: string | undefined
  /** Of the head that it shows, and when that was signed, by the log's clock. */
  readonly treeSize?: number | undefined
  readonly timestampMs?: number | undefined
  /** By the same clock, when it said this; in milliseconds since 1970, rounded up. */
  readonly saidMs: number
}

/** Asks a log of this program whether it has ended: at `v1/logs/<name>` of the server that its prefix is on. */
export class LogWords {
  readonly #url: string | undefined
  readonly #origin: string
  readonly #transport: Transport
  readonly #signal: AbortSignal | undefined
  #isThere = true

  /** @param prefix the log's URLs begin with it; ends with a slash */
  constructor(prefix: string, transport: Transport, origin: string, signal: AbortSignal | undefined) {
    const [, server, name] = /^(.*\/)logs\/([^/]+)\/$/.exec(prefix) ?? []
    this.#url = name === undefined ? undefined : `${server}v1/logs/${name}`
    this.#origin = origin
    this.#transport = transport
    this.#signal = signal
  }

  /**
   * Asks once: what is not answered now will be asked again.
   *
   * @returns undefined where nothing is said of this log
   * @throws the signal's reason
   */
  async ask(): Promise<LogWord | undefined> {
    if (this.#url === undefined || !this.#isThere) return undefined
    try {
      const ask = { maxBytes: MAX_ANSWER_BYTES, signal: this.#signal, fresh: true }
      const { body, headers } = await this.#transport.ask(this.#url, ask)
      const word = answer.safeParse(asJson(body))
      const dateMs = Date.parse(headers.get('date') ?? '')
      // The header has whole seconds. Without it: ours, which is the log's as far as anybody knows.
      const saidMs = Number.isNaN(dateMs) ? this.#transport.clock.nowMs() : dateMs + 1000
      return word.success && word.data.origin === this.#origin ? { ...word.data, saidMs } : undefined
    } catch (error) {
      if (this.#signal?.aborted || !(error instanceof SteleError)) throw error
      // A log that is only files has no such route, and does not get one while it is watched.
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
