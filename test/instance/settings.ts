import type { LogSettings } from '../../src/instance/open-log.ts'

export const SETTINGS: LogSettings = {
  pool: { maxEntries: 65_536, maxBytes: 2 ** 26, maxCommitEntries: 8192, maxCommitBytes: 2 ** 23 },
  headIntervalMs: 3_600_000,
  cacheBytes: 2 ** 20,
  nowMs: Date.now,
  witnesses: { fetch, timeoutMs: 2000, withoutQuorum: false, retryMs: 20 },
}
