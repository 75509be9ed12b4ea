/** When a log last showed something new, as far as is known. Milliseconds since 1970 throughout. */
export interface Sightings {
  /** The date of the newest tree head, which the log signed. */
  readonly logDateMs: number | undefined
  /** The dates of the newest checkpoint's cosignatures, which witnesses signed. */
  readonly witnessDatesMs: readonly number[]
  /** When the checkpoint last differed from the one before. */
  readonly newsMs: number
}

/** How old is too old. */
export interface FreshnessLimits {
  readonly staleAfterMs: number
  readonly silentAfterMs: number
}

/** What is wrong with the age of a log's newest head. */
export interface Staleness {
  readonly kind: 'stale' | 'silent'
  readonly message: string
}

/** Clocks differ by so much without anybody's fault. */
export const CLOCK_TOLERANCE_MS = 5 * 60_000

/**
 * Judges the age of the newest head. A log that is cut off from us, or that shows us an old state, signs nothing new
 * there; a log that has nothing to log signs anew, if it dates its heads.
 */
export function judgeFreshness(
  { logDateMs, witnessDatesMs, newsMs }: Sightings,
  { staleAfterMs, silentAfterMs }: FreshnessLimits,
  nowMs: number,
): Staleness | undefined {
  const latestMs = nowMs + CLOCK_TOLERANCE_MS
  if (logDateMs !== undefined && logDateMs > latestMs) {
    // Until then it would count as fresh, so it says nothing now.
    const ahead = seconds(logDateMs - nowMs)
    return { kind: 'stale', message: `the tree head is dated ${ahead} in the future: its age cannot be told` }
  }
  // A witness whose clock is ahead is not the log's fault; its date is left aside.
  const dates = witnessDatesMs.filter((dateMs) => dateMs <= latestMs)
  if (logDateMs !== undefined) dates.push(logDateMs)
  const dated = dates.length > 0
  const [ageMs, limitMs] = dated
    ? [nowMs - Math.max(...dates), staleAfterMs]
    : [nowMs - newsMs, silentAfterMs]
  if (ageMs <= limitMs) return undefined
  const age = `${seconds(ageMs)}: at most ${seconds(limitMs)} are allowed`
  return dated
    ? { kind: 'stale', message: `the newest head was signed before ${age}` }
    : { kind: 'silent', message: `no new checkpoint was seen for ${age}` }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}
