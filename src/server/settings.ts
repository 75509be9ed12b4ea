import { DEFAULT_HTTP_LIMITS, type HttpLimits } from '../http/limits.ts'
import type { Config } from '../config/config.ts'
import type { LogSettings } from '../instance/open-log.ts'

/** After too few witnesses cosigned, they are asked again after this time, with the newest head. */
const WITNESS_RETRY_MS = 2000

/** The settings of each log, from the configuration. */
export function logSettings(config: Config): LogSettings {
  return {
    pool: {
      maxEntries: config['queue-entries'],
      maxBytes: config['queue-bytes'],
      maxCommitEntries: config['commit-entries'],
      maxCommitBytes: config['commit-bytes'],
    },
    headIntervalMs: config['head-interval-seconds'] * 1000,
    maxAheadMs: config['max-head-ahead-seconds'] * 1000,
    cacheBytes: config['cache-bytes'],
    nowMs: Date.now,
    witnesses: {
      fetch,
      timeoutMs: config['witness-timeout-seconds'] * 1000,
      withoutQuorum: config['publish-without-quorum'],
      retryMs: WITNESS_RETRY_MS,
    },
  }
}

/** The settings of the HTTP layer, from the configuration. */
export function httpLimits(config: Config): HttpLimits {
  return {
    ...DEFAULT_HTTP_LIMITS,
    maxBatchEntries: config['batch-entries'],
    maxBatchBytes: config['batch-bytes'],
    bodyTimeoutMs: config['body-timeout-seconds'] * 1000,
    headersTimeoutMs: config['headers-timeout-seconds'] * 1000,
    maxBodyBytesInFlight: config['bodies-in-flight-bytes'],
    maxConnections: config['max-connections'],
    maxConnectionsPerAddress: config['max-connections-per-address'],
    maxLongPolls: config['max-long-polls'],
    maxLongPollsPerAddress: config['max-long-polls-per-address'],
    answerTimeoutMs: config['answer-timeout-seconds'] * 1000,
    maxAnswerBytesInFlight: config['answers-in-flight-bytes'],
    maxHeadAgeMs: config['stale-head-seconds'] * 1000,
  }
}
