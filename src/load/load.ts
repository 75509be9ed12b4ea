import { LoadConnection, type Exchange } from './connection.ts'
import { Meter } from './meter.ts'

/** How to load a server. */
export interface LoadOptions {
  readonly target: { readonly host: string; readonly port: number }
  readonly connections: number
  /** What each connection does, by its number. */
  readonly exchange: (connection: number) => Exchange
  /** Requests a second of all connections together; as fast as answers come if left out. */
  readonly ratePerSecond?: number | undefined
}

const PACE_MS = 1
const PATIENCE_MS = 10_000

/**
 * Connections that send requests until they are stopped. With a rate, requests are due at fixed times and their time
 * runs from then on, also while no connection is free: a server that stalls does not make its own figures better.
 */
export class Load {
  readonly meter = new Meter()
  readonly #connections: readonly LoadConnection[]
  readonly #intervalMs: number | undefined
  /** Those that wait for their turn, the longest first; one that was closed meanwhile is not ready. */
  readonly #idle = new Set<LoadConnection>()
  #nextDueMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor({ target, connections, exchange, ratePerSecond }: LoadOptions) {
    this.#intervalMs = ratePerSecond === undefined ? undefined : 1000 / ratePerSecond
    this.#connections = Array.from({ length: connections }, (_, i) => {
      return new LoadConnection(target, exchange(i), this.meter, (connection) => this.#onIdle(connection))
    })
  }

  start(): void {
    for (const connection of this.#connections) connection.start()
    if (this.#intervalMs === undefined) return
    this.#nextDueMs = performance.now()
    this.#timer = setInterval(() => this.#pace(), PACE_MS)
  }

  /** Sends no more; resolves when every request has its answer, or was given up after ten seconds. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    await Promise.all(this.#connections.map((connection) => connection.stop(PATIENCE_MS)))
  }

  #onIdle(connection: LoadConnection): void {
    if (this.#intervalMs === undefined) return connection.send(performance.now())
    this.#idle.add(connection)
    this.#pace()
  }

  #pace(): void {
    if (!this.#timer) return
    const nowMs = performance.now()
    for (const connection of this.#idle) {
      if (this.#nextDueMs > nowMs) return
      this.#idle.delete(connection)
      if (!connection.ready) continue
      connection.send(this.#nextDueMs)
      this.#nextDueMs += this.#intervalMs!
    }
  }
}
