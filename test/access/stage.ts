import { Agent, request, type IncomingHttpHeaders } from 'node:http'
import { onTestFinished } from 'vitest'
import { parseAddressSet } from '../../src/access/address.ts'
import { firstKey, Keyring, type KeyAct, type NewKey } from '../../src/access/keyring.ts'
import { accessState } from '../../src/access/state.ts'
import { createApp } from '../../src/http/app.ts'
import { createGate } from '../../src/http/gate.ts'
import type { DiskRoom } from '../../src/http/deps.ts'
import { DEFAULT_HTTP_LIMITS, type HttpLimits } from '../../src/http/limits.ts'
import { createMetrics } from '../../src/http/metrics/metrics.ts'
import { RequestRates, type RequestLimits } from '../../src/http/rates.ts'
import type { Route } from '../../src/http/route.ts'
import { createHttpServer } from '../../src/http/server.ts'
import { MetaLog, type MetaTarget } from '../../src/audit-trail/meta-log.ts'
import { directoryOf } from '../http/server.ts'
import { openTestLog, TEST_NOW_MS, type TestLog } from '../support/log.ts'
import { listenInTest } from '../support/listen.ts'

export interface StageOptions {
  readonly rates?: RequestLimits
  /** Stands between the meta log and its log. */
  readonly metaTarget?: (log: TestLog) => MetaTarget
  readonly nowMs?: () => number
  readonly limits?: Partial<HttpLimits>
  readonly disk?: DiskRoom
  /** Logs beside `meta`; without them, one of each kind. */
  readonly logs?: readonly TestLog[]
}

/** One log of each kind, named after it. */
export async function logsOfEachKind(): Promise<TestLog[]> {
  const stood = { openWrites: false } as const
  return [
    { ...(await openTestLog({ name: 'public' })), ...stood },
    { ...(await openTestLog({ name: 'halfopen' })), ...stood, reads: 'private', heads: 'open' },
    { ...(await openTestLog({ name: 'closed' })), ...stood, reads: 'private', heads: 'closed' },
  ]
}

/** What came back. */
export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly text: string
  readonly code: string | undefined
}

export interface Ask {
  readonly key?: string | undefined
  readonly body?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  /** Where it claims to come from; loopback is a trusted proxy of this server. */
  readonly from?: string
}

/** A line of the meta log. */
export type Line = Readonly<Record<string, unknown>> & { readonly kind: string }

/** A server over memory with keys, gate and meta log, and a clock that tests move. */
export class Stage {
  readonly provisioning: string
  readonly keyring: Keyring
  readonly meta: MetaLog
  readonly metaLog: TestLog
  readonly port: number
  readonly url: string
  readonly routes: readonly Route[]
  readonly agent = new Agent({ keepAlive: true, maxSockets: 32 })
  readonly #clock: { nowMs: number }

  private constructor(
    parts: Pick<Stage, 'provisioning' | 'keyring' | 'meta' | 'metaLog' | 'port' | 'routes'>,
    clock: { nowMs: number },
  ) {
    this.provisioning = parts.provisioning
    this.keyring = parts.keyring
    this.meta = parts.meta
    this.metaLog = parts.metaLog
    this.port = parts.port
    this.url = `http://127.0.0.1:${parts.port}`
    this.routes = parts.routes
    this.#clock = clock
    onTestFinished(() => this.agent.destroy())
  }

  static async open(options: StageOptions = {}): Promise<Stage> {
    const clock = { nowMs: TEST_NOW_MS }
    const nowMs = options.nowMs ?? (() => clock.nowMs)
    const metaLog = {
      ...(await openTestLog({ name: 'meta', allowDuplicates: true })),
      reads: 'meta',
      openWrites: false,
    } as const
    const meta = new MetaLog(options.metaTarget?.(metaLog) ?? metaLog, nowMs)
    const { made, record } = firstKey(nowMs())
    const apply = ({ act, by, before, after }: KeyAct): Promise<void> =>
      meta.write({ kind: 'admin', act, by, before, after, configuration: {} })
    const keyring = new Keyring(accessState([record]), { nowMs, apply })
    const logs = directoryOf(...(options.logs ?? (await logsOfEachKind())), metaLog)
    const deps = {
      logs,
      nowMs,
      keyring,
      trail: meta,
      metrics: createMetrics(logs, nowMs),
      limits: { ...DEFAULT_HTTP_LIMITS, ...options.limits },
      ...(options.disk ? { disk: options.disk } : {}),
      gate: createGate({
        logs,
        keyring,
        rates: new RequestRates(options.rates ?? { perAddress: 0, perKey: 0 }, nowMs),
        trustedProxies: parseAddressSet(['127.0.0.1'], 'test'),
      }),
    }
    const server = createHttpServer(deps)
    const port = await listenInTest(server)
    const { routes } = createApp(deps)
    return new Stage({ provisioning: made.key, keyring, meta, metaLog, port, routes }, clock)
  }

  get nowMs(): number {
    return this.#clock.nowMs
  }

  /** Lets time pass. */
  pass(ms: number): void {
    this.#clock.nowMs += ms
  }

  /** A key that the provisioning key could make. */
  async key(
    role: NewKey['role'],
    logs: NewKey['logs'] = '*',
    more: Partial<NewKey> = {},
  ): Promise<{ key: string; id: string }> {
    const { key, info } = await this.keyring.create(HOST, { role, logs, label: '', ...more })
    return { key, id: info.id }
  }

  ask(method: string, path: string, { key, body, headers = {}, from }: Ask = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const req = request({
        port: this.port,
        host: '127.0.0.1',
        path,
        method,
        agent: this.agent,
        headers: {
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
          ...(from === undefined ? {} : { 'x-forwarded-for': from }),
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
          ...headers,
        },
      })
      req.on('error', reject)
      req.on('response', (res) => {
        const chunks: Buffer[] = []
        res.on('data', (chunk: Buffer) => chunks.push(chunk))
        res.on('error', reject)
        res.on('end', () => {
          const text = Buffer.concat(chunks).toString('latin1')
          resolve({
            status: res.statusCode ?? 0,
            headers: res.headers,
            rawHeaders: res.rawHeaders,
            text,
            code: codeOf(text),
          })
        })
      })
      req.end(body)
    })
  }

  /** All lines of the meta log so far, in order. */
  async lines(): Promise<Line[]> {
    return linesOf(await this.pages())
  }

  /** The entries of the meta log. */
  async pages(): Promise<readonly Uint8Array[]> {
    const { log } = this.metaLog
    const { size } = log.published
    return size === 0 ? [] : log.readEntries(0, size)
  }
}

/** Who works at the machine itself. */
export const HOST = { id: 'host', grants: 'host' } as const

export function linesOf(pages: readonly Uint8Array[]): Line[] {
  return pages
    .flatMap((page) => Buffer.from(page).toString().trimEnd().split('\n'))
    .map((line) => JSON.parse(line) as Line)
}

function codeOf(text: string): string | undefined {
  return /"code":"([a-z_]+)"/.exec(text)?.[1]
}
