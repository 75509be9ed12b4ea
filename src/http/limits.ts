import type { ConnectionLimits } from './connections.ts'

/** Limits of the HTTP layer; `proto-docs/configuration.md` has the same list for operators. */
export interface HttpLimits extends ConnectionLimits {
  /** Entries of one batch. */
  readonly maxBatchEntries: number
  /** Bytes of the body of one batch, line feeds and lengths included. */
  readonly maxBatchBytes: number
  /** Bytes of all bodies that are being read; one caller gets half of it. */
  readonly maxBodyBytesInFlight: number
  /** The longest time that a request may wait for a newer checkpoint. */
  readonly longPollMaxMs: number
  /** Entries of one page. */
  readonly pageEntries: number
  /** Bytes of entries of one page; a single entry always fits. */
  readonly pageBytes: number
  /** Memory for the cache of compressed entry bundles. */
  readonly bundleCacheBytes: number
  /**
   * With a published head older than this, `readyz` reports not ready. Must exceed the interval of periodic re-signing.
   */
  readonly maxHeadAgeMs: number
}

const MIB = 1024 * 1024

export const DEFAULT_HTTP_LIMITS: HttpLimits = {
  maxBatchEntries: 10_000,
  maxBatchBytes: 16 * MIB,
  bodyTimeoutMs: 30_000,
  headersTimeoutMs: 10_000,
  maxBodyBytesInFlight: 128 * MIB,
  longPollMaxMs: 60_000,
  pageEntries: 1000,
  pageBytes: MIB,
  maxConnections: 10_000,
  maxConnectionsPerAddress: 0,
  maxLongPolls: 0,
  maxLongPollsPerAddress: 0,
  answerTimeoutMs: 30_000,
  maxAnswerBytesInFlight: 128 * MIB,
  bundleCacheBytes: 16 * MIB,
  maxHeadAgeMs: 3 * 3_600_000,
}
