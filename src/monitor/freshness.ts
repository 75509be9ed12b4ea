/** When a log last showed something new. All times are milliseconds since 1970. */
export interface Sightings {
  /** The date of the newest tree head, signed by the log. */
  readonly logDateMs: number | undefined
  /** The dates of the newest checkpoint's cosignatures, signed by witnesses. */
  readonly witnessDatesMs: readonly number[]
  /** When the checkpoint last differed from the one before. */
  readonly newsMs: number
}

/** The limits of age. */
export interface FreshnessLimits {
  readonly staleAfterMs: number
  readonly silentAfterMs: number
}

/** A problem with the age of a log's newest head. */
export interface Staleness {
  readonly kind: 'stale' | 'silent'
  readonly message: string
}

/** Tolerated difference between clocks. */
export const CLOCK_TOLERANCE_MS = 5 * 60_000

/**
 * Checks the age of the newest head. A log whose connection to the monitor is cut, or that shows the monitor an old
 * state, gets no new signatures here. A log without new entries re-signs its head periodically, if it dates its heads.
 */
export function judgeFreshness(
  { logDateMs, witnessDatesMs, newsMs }: Sightings,
  { staleAfterMs, silentAfterMs }: FreshnessLimits,
  nowMs: number,
): Staleness | undefined {
  const latestMs = nowMs + CLOCK_TOLERANCE_MS
  if (logDateMs !== undefined && logDateMs > latestMs) {
    // A head dated in the future would count as fresh until then, so its date is not used.
    const ahead = seconds(logDateMs - nowMs)
    return { kind: 'stale', message: `the tree head is dated ${ahead} in the future, so its age is unknown` }
  }
  // A cosignature dated in the future is ignored: the log is not responsible for a witness's clock.
  const dates = witnessDatesMs.filter((dateMs) => dateMs <= latestMs)
  if (logDateMs !== undefined) dates.push(logDateMs)
  const dated = dates.length > 0
  const [ageMs, limitMs] = dated
    ? [nowMs - Math.max(...dates), staleAfterMs]
    : [nowMs - newsMs, silentAfterMs]
  if (ageMs <= limitMs) return undefined
  const age = `${seconds(ageMs)}; the limit is ${seconds(limitMs)}`
  return dated
    ? { kind: 'stale', message: `the age of the newest head is ${age}` }
    : { kind: 'silent', message: `no new checkpoint was seen for ${age}` }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}
