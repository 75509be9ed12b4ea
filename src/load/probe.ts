import { SteleError } from '../errors.ts'
import type { EntrySource } from './entries.ts'
import { Meter } from './load.ts'

const PAUSE_MS = 200
const TIMEOUT_MS = 30_000

/**
 * Measures, during the load, the time from sending a single entry to a published checkpoint that covers it. It does so
 * five times a second over `fetch`, whose overhead is part of the figure.
 */
export class IntegrationProbe {
  readonly meter = new Meter()
  readonly #url: string
  readonly #source: EntrySource
  #stopped = false
  #running: Promise<void> | undefined

  /** @param url prefix of the log, ending with a slash */
  constructor(url: string, source: EntrySource) {
    this.#url = url
    this.#source = source
  }

  start(): void {
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#once()
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
  }

  async #once(): Promise<void> {
    const body = Buffer.alloc(this.#source.bytes)
    this.#source.writeNext(body, 0)
    const startedMs = performance.now()
    try {
      const answer = await this.#ask('add', { method: 'POST', body })
      if (answer === undefined) return void this.meter.refused++
      while ((await this.#checkpointSize()) <= Number(answer))
        if (performance.now() - startedMs > TIMEOUT_MS) throw late()
      this.meter.record(performance.now() - startedMs, undefined)
    } catch (error) {
      this.meter.fail(error instanceof SteleError ? error.message : 'a probe got no answer')
    }
  }

  async #checkpointSize(): Promise<number> {
    return Number((await this.#ask('checkpoint', {}))?.split('\n')[1] ?? -1)
  }

  /** @returns undefined if the server refused */
  async #ask(path: string, init: RequestInit): Promise<string | undefined> {
    const response = await fetch(this.#url + path, {
      ...init,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const text = await response.text()
    if (response.status === 429 || response.status === 503) return undefined
    if (!response.ok) throw new SteleError('unexpected_answer', `status ${response.status}`)
    return text
  }
}

function late(): SteleError {
  return new SteleError(
    'unexpected_answer',
    'an acknowledged entry is not covered by the checkpoint after 30 s',
  )
}
