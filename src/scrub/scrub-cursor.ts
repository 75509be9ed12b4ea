import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import type { ScrubFinding } from './scrub-finding.ts'

/** A pass over the whole log that came to its end. */
export interface ScrubPass {
  /** 1 for the first pass of a log. */
  readonly pass: number
  /** Milliseconds since 1970. */
  readonly startedAtMs: number
  readonly finishedAtMs: number
  /** Leaves that were verified. */
  readonly leaves: number
  readonly bytesRead: number
  /** What is damaged, as far as it is known at its end. */
  readonly findings: number
}

/** How far a scrubber is: what outlives a restart. */
export interface ScrubCursor {
  /** Number of the pass that is on its way, or that begins next. */
  readonly pass: number
  readonly startedAtMs: number
  /** The next stretch, and the one before which this pass ends. */
  readonly next: number
  readonly target: number
  /** What this pass has verified and read. */
  readonly leaves: number
  readonly bytesRead: number
  readonly lastPass: ScrubPass | undefined
  /** By stretch, or -1 for the leaf index: they were reported, and are looked at again first of all. */
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

/** The inverse of `encodeCursor`; undefined for anything else: then the scrubber begins anew. */
export function decodeCursor(bytes: Uint8Array): ScrubCursor | undefined {
  try {
    const value = JSON.parse(decodeUtf8(bytes, 'scrub cursor')) as ScrubCursor & { format: unknown }
    const { format, ...cursor } = value
    return format === FORMAT && isWhole(cursor) ? { ...cursor, lastPass: cursor.lastPass } : undefined
  } catch {
    return undefined
  }
}

/** Numbers that would lead the scrubber astray. What the findings say is only repeated. */
function isWhole({ pass, startedAtMs, next, target, leaves, bytesRead, findings }: ScrubCursor): boolean {
  const counts = [pass, next, target, leaves, bytesRead]
  if (!Number.isFinite(startedAtMs)) return false
  if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0)) return false
  return (
    Array.isArray(findings) &&
    findings.every(([stretch, list]) => Number.isSafeInteger(stretch) && stretch >= -1 && Array.isArray(list))
  )
}
