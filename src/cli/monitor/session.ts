import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '../../client/clock.ts'
import { hasCode, SteleError } from '../../errors.ts'
import {
  createWebhook,
  type DeliveryReport,
  Outbox,
  type Webhook,
  webhookSigner,
} from '../../monitor/delivery.ts'
import type { Finding } from '../../monitor/finding.ts'
import { LogMonitor } from '../../monitor/log-monitor.ts'
import { createMonitorMetrics, type MonitorMetrics } from '../../monitor/metrics.ts'
import { watch } from '../../monitor/watch.ts'
import { readKeyFile } from '../../storage/key-file.ts'
import type { Context } from '../context.ts'
import { EXIT_CODES, EXIT_OK } from '../exit-codes.ts'
import { apiKeyOf } from '../files/secret-file.ts'
import type { Terminal } from '../output/terminal.ts'
import type { MonitorConfig } from './config.ts'
import { FolderStore } from './folder-store.ts'
import { FINDING_CODES, gravest } from './verify-evidence.ts'

/** How long `--once` tries to deliver findings, in milliseconds. The next run delivers the rest. */
const DELIVERY_PATIENCE_MS = 30_000

/** The monitors of one command, and what they share. */
export class Session {
  readonly metrics: MonitorMetrics
  readonly #terminal: Terminal
  readonly #stop = new AbortController()
  readonly #printed = new Set<string>()
  readonly #outbox: Outbox
  readonly #monitors: LogMonitor[] = []
  /** Why logs are not watched: usually a damaged state file. */
  readonly #unopened: SteleError[] = []
  /** Logs whose entries cannot be read; reported once per log. */
  readonly #headsOnly = new Set<LogMonitor>()
  readonly #open = new Map<LogMonitor, readonly string[]>()

  private constructor({ terminal, io }: Context, webhooks: readonly Webhook[]) {
    this.#terminal = terminal
    this.metrics = createMonitorMetrics(() => io.stderr.linesLost ?? 0)
    this.#outbox = new Outbox({
      webhooks,
      clock: systemClock,
      print: (finding) => this.#print(finding),
      onDelivery: (report) => this.#onDelivery(report),
    })
  }

  /** @throws SteleError as `LogMonitor.open`, `apiKeyOf`; the errors of a webhook's key file */
  static async open(context: Context, config: MonitorConfig, folder: string): Promise<Session> {
    const webhooks = await Promise.all(
      config.webhooks.map(async ({ url, keyFile }) =>
        createWebhook(url, webhookSigner(await readSecret(keyFile), keyFile)),
      ),
    )
    const session = new Session(context, webhooks)
    const deps = {
      store: new FolderStore(folder),
      outbox: session.#outbox,
      signal: session.#stop.signal,
      onKeys: (origin: string, vkeys: readonly string[]) => session.#onKeys(origin, vkeys),
    }
    for (const { apiKeyFile, ...log } of config.logs) {
      const apiKey = apiKeyFile === undefined ? undefined : await apiKeyOf(apiKeyFile, context.io)
      await session.#add(log.origin, () => LogMonitor.open({ ...log, apiKey }, deps))
    }
    // Without any log there is nothing to watch.
    if (session.#monitors.length === 0) throw session.#unopened[0]!
    session.metrics.watch(session.#monitors, session.#outbox)
    return session
  }

  /** Adds a log. If its state cannot be read, the log is reported and left out, and the others are watched. */
  async #add(origin: string, open: () => Promise<LogMonitor>): Promise<void> {
    try {
      this.#monitors.push(await open())
    } catch (error) {
      if (!(error instanceof SteleError) || error.code === 'internal') throw error
      this.#unopened.push(error)
      this.metrics.onUnopened(origin)
      this.#terminal.warn(`${origin}: NOT watched: ${error.message}`)
    }
  }

  /** The exit code after a stop: other than 0 if a log could not be watched. */
  get exitCode(): number {
    const [first] = this.#unopened
    return first ? EXIT_CODES[first.code] : EXIT_OK
  }

  /** Runs one round of every log. @returns the exit code */
  async once(): Promise<number> {
    const rounds = await Promise.all(this.#monitors.map((monitor) => this.#round(monitor)))
    const findings = rounds.flatMap((round) => round.findings)
    for (const finding of findings) {
      // A problem from an earlier run that still lasts is printed again, since it is still a problem.
      if (!this.#printed.has(finding.id)) await this.#terminal.jsonLine({ ...finding, repeated: true })
    }
    const delivered = await this.#deliver()
    const troubles = [...this.#unopened, ...rounds.map((round) => round.trouble), ...(await this.#saveAll())]
    const worst = gravest(findings.map(({ kind }) => kind))
    if (worst) return FINDING_CODES[worst]
    const trouble = troubles.find((error) => error !== undefined)
    if (trouble) return EXIT_CODES[trouble.code]
    if (!delivered) return EXIT_CODES.unreachable
    return findings.length > 0 ? FINDING_CODES.match : EXIT_OK
  }

  /** Watches every log until {@link stop}. */
  async watch(intervalMs: number): Promise<void> {
    const options = {
      intervalMs,
      signal: this.#stop.signal,
      onRound: (monitor: LogMonitor) => this.#onRound(monitor),
      onTrouble: (monitor: LogMonitor, error: SteleError) => this.#onTrouble(monitor, error),
    }
    await Promise.all(this.#monitors.map((monitor) => watch(monitor, options)))
    await this.#outbox.stop()
    await this.#saveAll()
  }

  stop(): void {
    this.#stop.abort()
  }

  async #round(monitor: LogMonitor): Promise<{ findings: Finding[]; trouble: SteleError | undefined }> {
    try {
      const findings = await monitor.round()
      this.#onRound(monitor)
      return { findings, trouble: undefined }
    } catch (error) {
      // Findings before the failed write are printed already, and count for the exit code.
      if (!(error instanceof SteleError) || error.code === 'internal') throw error
      this.#onTrouble(monitor, error)
      return { findings: monitor.unfinished(), trouble: error }
    }
  }

  async #deliver(): Promise<boolean> {
    const enough = new AbortController()
    const patience = systemClock.sleep(DELIVERY_PATIENCE_MS, enough.signal).catch(() => undefined)
    await Promise.race([this.#outbox.idle(), patience])
    enough.abort()
    await this.#outbox.stop()
    const waiting = this.#outbox.waiting.filter(({ count }) => count > 0)
    for (const { url, count } of waiting) {
      this.#terminal.warn(`webhook ${url}: ${count} findings were not delivered; the next run tries again`)
    }
    return waiting.length === 0
  }

  /** Saves which findings were delivered, so that they are not delivered again. */
  #saveAll(): Promise<(SteleError | undefined)[]> {
    const save = async (monitor: LogMonitor): Promise<SteleError | undefined> => {
      try {
        await monitor.save()
        return undefined
      } catch (error) {
        if (!hasCode(error, 'io_error')) throw error
        this.#onTrouble(monitor, error)
        return error
      }
    }
    return Promise.all(this.#monitors.map(save))
  }

  async #print(finding: Finding): Promise<void> {
    this.metrics.onFinding(finding)
    this.#printed.add(finding.id)
    await this.#terminal.jsonLine(finding)
  }

  #onRound(monitor: LogMonitor): void {
    this.metrics.onRound(monitor)
    const { origin, open, headsOnly } = monitor.status
    if (headsOnly && !this.#headsOnly.has(monitor)) {
      this.#terminal.warn(
        `${origin}: its entries require an API key, and none was given that may read them (api-key-file): its heads are ` +
          'followed, but its entries are NOT read',
      )
    }
    if (headsOnly) this.#headsOnly.add(monitor)
    else this.#headsOnly.delete(monitor)
    const before = this.#open.get(monitor) ?? open
    this.#open.set(monitor, open)
    for (const name of before.filter((each) => !open.includes(each))) {
      this.#terminal.note(`${origin}: resolved: ${name}`)
    }
  }

  #onKeys(origin: string, vkeys: readonly string[]): void {
    this.#terminal.warn(`${origin}: new trusted keys, announced by an old key: ${vkeys.join(', ')}`)
  }

  #onTrouble(monitor: LogMonitor, error: SteleError): void {
    this.metrics.onTrouble(monitor)
    const { origin, nextIndex } = monitor.status
    this.#terminal.warn(
      `${origin}: the state cannot be saved, so there is no progress (entry ${nextIndex}): ${error.message}`,
    )
  }

  #onDelivery(report: DeliveryReport): void {
    this.metrics.onDelivery(report)
    const { outcome, url, finding, message } = report
    if (outcome !== 'delivered') {
      this.#terminal.warn(`webhook ${url}: finding ${finding.id} ${outcome}: ${message}`)
    }
  }
}

/** Reads a key file that only its owner can read. @throws SteleError `key_permissions`, `io_error` */
async function readSecret(path: string): Promise<string> {
  try {
    return await readKeyFile(path)
  } catch (error) {
    if (!hasCode(error, 'key_missing')) throw error
    throw new SteleError('io_error', `${path}: there is no such file`, { cause: error })
  }
}

/** The metrics endpoint, on this machine only. */
export interface MetricsServer {
  readonly url: string
  close(): Promise<void>
}

/**
 * Serves `/metrics`.
 *
 * @param port 0 chooses a free one
 * @throws SteleError `usage` if the port cannot be used
 */
export async function serveMetrics(metrics: MonitorMetrics, port: number): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    metrics.text().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => response.writeHead(500).end(),
    )
  })
  await listen(server, port)
  const { port: got } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${got}/metrics`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function listen(server: Server, port: number): Promise<void> {
  const listening = once(server, 'listening')
  server.listen(port, '127.0.0.1')
  try {
    await listening
  } catch (error) {
    throw new SteleError('usage', `--metrics-port ${port}: ${(error as Error).message}`, { cause: error })
  }
}
