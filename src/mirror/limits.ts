import { DEFAULT_WITNESS_LIMITS, type WitnessLimits } from '../witness/limits.ts'

/** What a mirror grants its callers. Those of a witness are for `add-checkpoint`; the rest is for uploads. */
export interface MirrorLimits extends WitnessLimits {
  /** Uploads at once, each of which holds up to some 20 MB; one caller gets half of them. */
  readonly maxUploads: number
  /** How long a sender may keep an upload waiting, beside the time that its bytes take at 16 kB a second. */
  readonly uploadGraceMs: number
  /** From the end of an upload's head to its end. What was verified by then is kept. */
  readonly uploadTimeoutMs: number
  /** Memory for entry bundles that were compressed and may be asked for again. */
  readonly bundleCacheBytes: number
}

export const DEFAULT_MIRROR_LIMITS: MirrorLimits = {
  ...DEFAULT_WITNESS_LIMITS,
  maxUploads: 8,
  uploadGraceMs: 20_000,
  uploadTimeoutMs: 3_600_000,
  bundleCacheBytes: 16 * 1024 * 1024,
}
