import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import type { ScrubFinding } from './scrub-finding.ts'

/** A completed pass over the whole log. */
export interface ScrubPass {
  /** 1 for the first pass of a log. */
  readonly pass: number
  /** Milliseconds since 1970. */
  readonly startedAtMs: number
  readonly finishedAtMs: number
  /** Leaves that were verified. */
  readonly leaves: number
  readonly bytesRead: number
  /** Damage known at its end. */
  readonly findings: number
}

/** The position of a scrubber, which survives a restart. */
export interface ScrubCursor {
  /** Number of the current pass, or of the next one. */
  readonly pass: number
  readonly startedAtMs: number
  /** The next block range, and the one before which this pass ends. */
  readonly next: number
  readonly target: number
  /** What this pass has verified and read. */
  readonly leaves: number
  readonly bytesRead: number
  readonly lastPass: ScrubPass | undefined
  /** Reported findings by block range, or -1 for the leaf index. They are checked again first. */
  readonly findings: readonly (readonly [stretch: number, findings: readonly ScrubFinding[]])[]
}

/** A small file. */
export interface ScrubFile {
  read(): Promise<Uint8Array | undefined>
  /** Replaces all of it. */
  write(bytes: Uint8Array): Promise<void>
}

const FORMAT = 'stele scrub cursor 1'

/** A cursor as a JSON file. */
export function encodeCursor(cursor: ScrubCursor): Uint8Array {
  return encodeUtf8(`${JSON.stringify({ format: FORMAT, ...cursor }, null, 1)}\n`)
}

/** The inverse of `encodeCursor`; undefined for anything else, and then the scrubber starts over. */
export function decodeCursor(bytes: Uint8Array): ScrubCursor | undefined {
  try {
    const value = JSON.parse(decodeUtf8(bytes, 'scrub cursor')) as ScrubCursor & { format: unknown }
    const { format, ...cursor } = value
    return format === FORMAT && isWhole(cursor) ? { ...cursor, lastPass: cursor.lastPass } : undefined
  } catch {
    return undefined
  }
}

/** Checks the numbers that control the scrubber. Findings are only repeated. */
function isWhole({ pass, startedAtMs, next, target, leaves, bytesRead, findings }: ScrubCursor): boolean {
  const counts = [pass, next, target, leaves, bytesRead]
  if (!Number.isFinite(startedAtMs)) return false
  if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0)) return false
  return (
    Array.isArray(findings) &&
    findings.every(([stretch, list]) => Number.isSafeInteger(stretch) && stretch >= -1 && Array.isArray(list))
  )
}
