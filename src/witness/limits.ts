import type { ConnectionLimits } from '../http/connections.ts'

/** What a witness grants its callers, whoever they are: nobody but a log's signature is known to it. */
export interface WitnessLimits extends ConnectionLimits {
  /** Bytes of one body; more get 413. */
  readonly maxBodyBytes: number
  /** Bytes of all bodies that are being read at one moment; one caller gets half of it. */
  readonly maxBodyBytesInFlight: number
  /** Requests to sign of one address, on average; more get 429. */
  readonly callerRequestsPerSecond: number
  /** How many of them may come at once. */
  readonly callerBurst: number
}

export const DEFAULT_WITNESS_LIMITS: WitnessLimits = {
  // 16 ML-DSA-44 lines are 53 kB, 63 proof lines under 3 kB; names and extension lines have what is left.
  maxBodyBytes: 128 * 1024,
  bodyTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  maxBodyBytesInFlight: 16 * 1024 * 1024,
  maxConnections: 2000,
  maxConnectionsPerAddress: 0,
  answerTimeoutMs: 30_000,
  maxAnswerBytesInFlight: 64 * 1024 * 1024,
  callerRequestsPerSecond: 50,
  callerBurst: 500,
}
