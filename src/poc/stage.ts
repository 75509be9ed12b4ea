import { join } from 'node:path'
import { pino } from 'pino'
import { encodeUtf8 } from '../bytes/text.ts'
import { systemClock } from '../client/clock.ts'
import { type Clock, type LogClient, openLogClient, type ProvenLeaf } from '../client/index.ts'
import { loadConfig } from '../config/config.ts'
import { SteleError } from '../errors.ts'
import type { LogInfo } from '../instance/data-folder.ts'
import { type RunningServer, startServer } from '../server/start.ts'
import type { RunningWitness } from '../witness/start.ts'
import type { Front } from './front.ts'
import { LOG } from './history.ts'
import type { Guarded } from './trail.ts'

/** How a stage is set up. */
export interface StageOptions {
  /** Entries of the log at the beginning. Default 600: two full tiles of the lowest level, and one that is not. */
  readonly entries?: number
  /** False for a log without a witness. */
  readonly witnessed?: boolean
  /** A monitor that compares nothing: at each look it has forgotten what it saw before. Shows that the suite can fail. */
  readonly monitorForgets?: boolean
}

/** What a stage is made of. */
interface StageParts {
  readonly folder: string
  readonly options: StageOptions
  readonly info: LogInfo
  readonly clock: StageClock
  readonly witness: RunningWitness | undefined
  /** What verifiers ask for: the log's signature, and its witness's if it has one. */
  readonly policy: string
  readonly front: Front
}

/** Something that a verifier is shown: bytes, and the proof that they are in the log. */
export interface Claim {
  readonly entry: Uint8Array
  readonly proof: string
}

/** How long somebody waits who counts on an answer: also a machine that has much else to do gives one by then. */
const PATIENCE_MS = 20_000
/** Witness and log have this long to agree after the log was opened. */
const SETTLE_MS = 20_000
const SETTLE_STEP_MS = 5

/**
 * A log with everybody around it: log and witness as servers, and a front through which all readers come. Owner of the
 * servers. The attacks change what lies on disk and what the front tells.
 */
export class Stage {
  readonly parts: StageParts
  /** A client that keeps the newest head that it verified. */
  readonly client: LogClient
  /** Signed heads as the log published them, the oldest first. */
  readonly heads: string[] = []
  /** How long everybody waits for an answer, in milliseconds; an attack shortens it where none is to come. */
  patienceMs = PATIENCE_MS
  /** The name by which a page in a browser on the log's machine reaches it. */
  pageName = 'localhost'
  /** What a verifier is handed. */
  claim: Claim | undefined
  /** What a receipt holder has had since its entry was acknowledged. */
  receipt: Promise<ProvenLeaf> | undefined
  /** A server with keys, for the attacks on its audit trail. */
  guarded: Promise<Guarded> | undefined
  /** What the log's operator reads in its own log, newest last. */
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

  /** A place in the stage's folder. */
  path(name: string): string {
    return join(this.parts.folder, name)
  }

  /** A client that has seen nothing yet. */
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
   * @returns why it takes no entries, if it does not: it was not opened, or its witness contradicts it
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

  /** Why the log takes no entries any more, down to the cause of it. */
  get failure(): SteleError | undefined {
    let failure = this.#server?.host.get(LOG)?.failure
    while (failure?.cause instanceof SteleError) failure = failure.cause
    return failure
  }

  /** Serves another data folder besides. @returns its address, without a trailing slash */
  async serveAlso(data: string): Promise<string> {
    const server = await serveFolder(data)
    this.#guests.push(server)
    return server.url
  }

  /** Appends an entry that nobody appended before, and keeps the receipt. */
  async append(client = this.client): Promise<Claim> {
    const entry = encodeUtf8(`appended ${this.#appended++}`)
    const { proof } = await client.append(entry)
    return { entry, proof }
  }

  async close(): Promise<void> {
    const { front, witness } = this.parts
    await front.close()
    // The log before its witness, or it would ask in vain.
    await this.stopLog()
    await Promise.all([...this.#guests, ...(witness ? [witness] : [])].map((each) => each.close()))
  }
}

function serveFolder(data: string, write: (line: string) => void = () => {}): Promise<RunningServer> {
  const config = loadConfig({ flags: { data, port: '0', open: true, 'witness-timeout-seconds': '20' } })
  return startServer(config, pino({ level: 'error' }, { write }))
}

/** Waits until the log and its witness agree, or do not. */
async function settled({ host }: RunningServer): Promise<SteleError | undefined> {
  const hosted = host.get(LOG)!
  const endMs = performance.now() + SETTLE_MS
  while (hosted.log?.status.state === 'confirming' && hosted.log.status.unpublished === undefined) {
    if (performance.now() > endMs) throw new SteleError('unreachable', 'the witness did not answer the log')
    await new Promise((resolve) => setTimeout(resolve, SETTLE_STEP_MS))
  }
  const { failure, log } = hosted
  if (log?.status.state === 'confirming') return new SteleError('quorum_not_met', log.status.unpublished!)
  return failure?.cause instanceof SteleError ? failure.cause : failure
}

/** The time on a stage: that of the machine, and moved on when an attack takes hours. */
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

  /** Lets time pass for everybody who looks at this clock. */
  moveOn(ms: number): void {
    this.#aheadMs += ms
  }
}
