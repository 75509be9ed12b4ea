import { join } from 'node:path'
import { pino } from 'pino'
import { encodeUtf8 } from '../bytes/text.ts'
import { systemClock } from '../client/clock.ts'
import { type Clock, type LogClient, openLogClient, type ProvenLeaf } from '../client/index.ts'
import { loadConfig } from '../config/config.ts'
import { SteleError } from '../errors.ts'
import type { LogInfo } from '../instance/data-folder.ts'
import { type RunningServer, createServer } from '../server/start.ts'
import type { RunningWitness } from '../witness/start.ts'
import type { Front } from './front.ts'
import { LOG } from './history.ts'
import type { Guarded } from './trail.ts'

/** How a scenario is set up. */
export interface StageOptions {
  /** Initial number of entries. Default 600: two full tiles of the lowest level, and a partial one. */
  readonly entries?: number
  /** False for a log without a witness. */
  readonly witnessed?: boolean
  /**
   * True for a monitor that forgets its state before each round, and so compares nothing. Shows that the suite can
   * fail.
   */
  readonly monitorForgets?: boolean
}

/** The parts of a scenario. */
interface StageParts {
  readonly folder: string
  readonly options: StageOptions
  readonly info: LogInfo
  readonly clock: StageClock
  readonly witness: RunningWitness | undefined
  /** The policy of verifiers: the log's signature, and its witness's if there is one. */
  readonly policy: string
  readonly front: Front
}

/** Bytes, and the proof that they are in the log, as given to a verifier. */
export interface Claim {
  readonly entry: Uint8Array
  readonly proof: string
}

/** Time limit of requests that must succeed, also on a busy machine. */
const PATIENCE_MS = 20_000
/** Time limit for witness and log to agree after the log was opened. */
const SETTLE_MS = 20_000
const SETTLE_STEP_MS = 5

/**
 * A scenario: a log and a witness as servers, and the proxy through which all readers connect. Owns the servers.
 * Attacks change the files on disk and the responses of the proxy.
 */
export class Stage {
  readonly parts: StageParts
  /** A client that remembers the newest head that it verified. */
  readonly client: LogClient
  /** The signed heads that the log published, the oldest first. */
  readonly heads: string[] = []
  /** Time limit of requests, in milliseconds. An attack shortens it if no response will come. */
  patienceMs = PATIENCE_MS
  /** The host name that a page in a browser on the log's machine uses. */
  pageName = 'localhost'
  /** The claim that a verifier checks. */
  claim: Claim | undefined
  /** The receipt that its holder got when the entry was acknowledged. */
  receipt: Promise<ProvenLeaf> | undefined
  /** A server with keys, for the attacks on its audit trail. */
  guarded: Promise<Guarded> | undefined
  /** The lines of the server's own log, newest last. */
  readonly operatorLines: string[] = []
  readonly #guests: { close(): Promise<void> }[] = []
  #server: RunningServer | undefined
  #appended = 0

  constructor(parts: StageParts) {
    this.parts = parts
    this.client = this.newClient()
  }

  /** The data folder of the log. */
  get data(): string {
    return this.path('data')
  }

  /** A path in the scenario's folder. */
  path(name: string): string {
    return join(this.parts.folder, name)
  }

  /** A client without any remembered head. */
  newClient(url = this.parts.front.url): LogClient {
    return openLogClient({
      url,
      verifierKey: this.parts.info.verifierKey,
      deadlineMs: this.patienceMs,
    })
  }

  /**
   * Opens the log, closing it first if it is open, and puts it behind the front.
   *
   * @returns why the log accepts no entries, if so: it did not open, or its witness contradicts it
   */
  async startLog(): Promise<SteleError | undefined> {
    await this.stopLog()
    try {
      this.#server = await serveFolder(this.data, (line) => this.operatorLines.push(line))
    } catch (error) {
      if (!(error instanceof SteleError) || error.code === 'internal') throw error
      return error
    }
    this.parts.front.target = this.#server.url
    return settled(this.#server)
  }

  async stopLog(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    await server?.close()
  }

  /** Why the log accepts no entries: the innermost cause. */
  get failure(): SteleError | undefined {
    let failure = this.#server?.logs.get(LOG)?.failure
    while (failure?.cause instanceof SteleError) failure = failure.cause
    return failure
  }

  /** Serves another data folder as well. @returns its URL, without a trailing slash */
  async serveAlso(data: string): Promise<string> {
    const server = await serveFolder(data)
    this.#guests.push(server)
    return server.url
  }

  /** Appends a unique entry, and keeps the receipt. */
  async append(client = this.client): Promise<Claim> {
    const entry = encodeUtf8(`appended ${this.#appended++}`)
    const { proof } = await client.append(entry)
    return { entry, proof }
  }

  async close(): Promise<void> {
    const { front, witness } = this.parts
    await front.close()
    // The log closes before its witness, which it would otherwise ask without getting a response.
    await this.stopLog()
    await Promise.all([...this.#guests, ...(witness ? [witness] : [])].map((each) => each.close()))
  }
}

function serveFolder(data: string, write: (line: string) => void = () => {}): Promise<RunningServer> {
  const config = loadConfig({ flags: { data, port: '0', open: true, 'witness-timeout-seconds': '20' } })
  return createServer(config, pino({ level: 'error' }, { write }))
}

/** Waits until the log and its witness agree, or do not. */
async function settled({ logs }: RunningServer): Promise<SteleError | undefined> {
  const hosted = logs.get(LOG)!
  const endMs = performance.now() + SETTLE_MS
  while (hosted.log?.status.state === 'confirming' && hosted.log.status.unpublished === undefined) {
    if (performance.now() > endMs) throw new SteleError('unreachable', 'the witness did not answer the log')
    await new Promise((resolve) => setTimeout(resolve, SETTLE_STEP_MS))
  }
  const { failure, log } = hosted
  if (log?.status.state === 'confirming') return new SteleError('quorum_not_met', log.status.unpublished!)
  return failure?.cause instanceof SteleError ? failure.cause : failure
}

/** The clock of a scenario: the machine's time, plus the hours that attacks skip. */
export class StageClock implements Clock {
  #aheadMs = 0

  nowMs(): number {
    return systemClock.nowMs() + this.#aheadMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal)
  }

  random(): number {
    return systemClock.random()
  }

  /** Advances the time for all users of this clock. */
  moveOn(ms: number): void {
    this.#aheadMs += ms
  }
}
