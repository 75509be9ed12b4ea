import { createECDH } from 'node:crypto'
import { SteleError } from '../../src/errors.ts'
import type { Finding } from '../../src/monitor/finding.ts'
import { LogMonitor } from '../../src/monitor/log-monitor.ts'
import type { MonitoredLog } from '../../src/monitor/monitored-log.ts'
import { Outbox, type Webhook } from '../../src/monitor/delivery.ts'
import type { RegexRunner } from '../../src/monitor/matcher.ts'
import type { MonitorStore } from '../../src/monitor/state.ts'
import { formatGetSth } from '../../src/note/get-sth.ts'
import { formatPkcs8 } from '../../src/crypto/p256-der.ts'
import { treeHeadSigner, type TreeHead } from '../../src/note/tree-head.ts'
import { FakeClock, FakeLog, KEY, ORIGIN, URL_PREFIX } from '../client/fake-log.ts'

export const HOUR_MS = 3_600_000

/** A disk in memory that can be full. */
export class MemoryMonitorStore implements MonitorStore {
  states = new Map<string, string>()
  evidence = new Map<string, string>()
  full = false
  saves = 0
  /** Throws from the save of this number on: the process was killed. */
  killAt = Infinity

  async load(origin: string): Promise<string | undefined> {
    return this.states.get(origin)
  }

  placeOf(origin: string): string {
    return `state of ${origin}`
  }

  async save(origin: string, state: string): Promise<void> {
    if (this.full) throw new SteleError('io_error', 'no space left on device')
    this.saves++
    if (this.saves >= this.killAt) throw new Killed()
    this.states.set(origin, state)
  }

  async keepEvidence(id: string, evidence: string): Promise<string> {
    if (this.full) throw new SteleError('io_error', 'no space left on device')
    this.evidence.set(id, evidence)
    return `evidence/${id}.json`
  }
}

export class Killed extends Error {}

/** A monitor of a fake log. What survives a restart is `store`. */
export interface Stage {
  readonly log: FakeLog
  readonly clock: FakeClock
  readonly store: MemoryMonitorStore
  /** What came out, in order, over all restarts. */
  readonly printed: Finding[]
  /** Begins anew from the store, as a process that was killed. */
  start(more?: Partial<MonitoredLog>): Promise<LogMonitor>
  outbox: Outbox
}

export async function stage(size: number, webhooks: readonly Webhook[] = []): Promise<Stage> {
  return stageOf(await FakeLog.create(size), webhooks)
}

export async function stageOf(log: FakeLog, webhooks: readonly Webhook[] = []): Promise<Stage> {
  const clock = new FakeClock()
  const store = new MemoryMonitorStore()
  const printed: Finding[] = []
  const newOutbox = (): Outbox =>
    new Outbox({ webhooks, clock, print: async (finding) => void printed.push(finding) })
  const made: Stage = {
    log,
    clock,
    store,
    printed,
    outbox: newOutbox(),
    async start(more = {}) {
      made.outbox = newOutbox()
      const transport = { fetch: log.fetch, clock, timeoutMs: 200 }
      return LogMonitor.open({ ...LOG, ...more }, { store, outbox: made.outbox, transport, deadlineMs: 200 })
    },
  }
  return made
}

export const LOG: MonitoredLog = {
  url: URL_PREFIX,
  origin: ORIGIN,
  verifierKeys: [KEY.verifier],
  matchers: [],
  from: 0,
  recheckBundles: 1,
  staleAfterMs: HOUR_MS,
  silentAfterMs: 24 * HOUR_MS,
  unreachableAfterMs: 0,
}

/** Kinds of what one round found, in order. */
export async function kinds(monitor: LogMonitor): Promise<string[]> {
  return (await monitor.round()).map(({ kind }) => kind)
}

/** Runs no expression: a text that begins with "slow" takes as long as it says, and every run is noted. */
export function pretending(): { runner: () => RegexRunner; runs: string[][] } {
  const runs: string[][] = []
  const takes = (text: string): number => Number(/^slow (\d+)/.exec(text)?.[1] ?? 0)
  const run: RegexRunner = (texts, limitMs) => {
    runs.push([...texts])
    const tookMs = texts.reduce((sum, text) => sum + takes(text), 0)
    if (tookMs > limitMs) return { found: undefined, tookMs: limitMs }
    return { found: texts.map((text) => text.endsWith('!')), tookMs }
  }
  return { runner: () => run, runs }
}

/** A P-256 key from a fixed seed. */
export const TREE_HEAD_SIGNER = treeHeadSigner(pkcs8())

function pkcs8(): Uint8Array {
  const scalar = Uint8Array.from({ length: 32 }, (_, i) => i + 1)
  const ecdh = createECDH('prime256v1')
  ecdh.setPrivateKey(scalar)
  return formatPkcs8({ scalar, point: new Uint8Array(ecdh.getPublicKey()) })
}

/** The answer to get-sth. */
export function getSth(head: TreeHead): string {
  return JSON.stringify(formatGetSth(TREE_HEAD_SIGNER.sign(head)))
}
