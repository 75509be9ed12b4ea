import { concatBytes } from '../bytes/bytes.ts'
import { getUint16, getUint32, getUint64, putUint16, putUint32, putUint64 } from '../bytes/integer.ts'
import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import { hasCode, SteleError } from '../errors.ts'
import { asHash, type Hash, HASH_BYTES } from '../merkle/hash.ts'
import type { SeenNote } from './signed.ts'

/** All that a mirror knows of one log beside its entries and tiles: written with them in one atomic step. */
export interface MirrorRecord {
  /** Root hash of the tree of all stored entries, which may be more than the mirror checkpoint has. */
  readonly root: Hash
  /** How often a mirror checkpoint was cosigned: the head file has the same number, or is one behind. */
  readonly cosigned: number
  /** Notes of the log with its own lines, each extending the one before; the last is the pending checkpoint. */
  readonly pending: readonly SeenNote[]
  /** The mirror checkpoint: the log's lines and the mirror's; undefined while there is none. */
  readonly mirrored: string | undefined
  /** The newest checkpoint that the log's URL was seen to serve; undefined while there is none. */
  readonly followed: SeenNote | undefined
}

/*
 * uint8 1 | root hash | uint64 cosigned | uint16 number of pending notes | the pending notes, the followed one and the
 * mirror checkpoint, each as uint32 length and bytes, all but the last behind uint8 served and uint64 seen.
 * `proto-docs/mirror.md` describes it.
 */
const VERSION = 1
const FIXED_BYTES = 1 + HASH_BYTES + 8 + 2
const SHOWN_BYTES = 1 + 8
/** In the place of a checkpoint that there is none of. */
const NONE: SeenNote = { note: '', seenAtMs: 0, isServed: false }

/** A record as bytes for the head of a commit. */
export function encodeRecord({
  root,
  cosigned,
  pending,
  mirrored = '',
  followed = NONE,
}: MirrorRecord): Uint8Array {
  const fixed = new Uint8Array(FIXED_BYTES)
  fixed[0] = VERSION
  fixed.set(root, 1)
  putUint64(fixed, 1 + HASH_BYTES, cosigned)
  putUint16(fixed, 1 + HASH_BYTES + 8, pending.length)
  return concatBytes(fixed, ...[...pending, followed].flatMap(encodeSeen), ...encodeText(mirrored))
}

/**
 * Inverse of {@link encodeRecord}. Verifies none of the notes.
 *
 * @param where begins the error message
 * @throws SteleError `foreign_format` for a newer version; `corrupt`
 */
export function decodeRecord(bytes: Uint8Array, where: string): MirrorRecord {
  if (bytes[0] !== VERSION) {
    throw new SteleError(
      'foreign_format',
      `${where}: expected a record of version 1, found ${bytes[0] ?? 'none'}`,
    )
  }
  try {
    const count = getUint16(bytes, 1 + HASH_BYTES + 8, where)
    const rest = new Rest(bytes.subarray(FIXED_BYTES), where)
    const pending = Array.from({ length: count }, () => rest.takeSeen())
    const [followed, mirrored] = [rest.takeSeen(), rest.takeText()]
    rest.checkEmpty()
    return {
      root: asHash(bytes.slice(1, 1 + HASH_BYTES), where),
      cosigned: getUint64(bytes, 1 + HASH_BYTES, where),
      pending,
      mirrored: mirrored === '' ? undefined : mirrored,
      followed: followed.note === '' ? undefined : followed,
    }
  } catch (cause) {
    if (!hasCode(cause, 'malformed', 'out_of_range')) throw cause
    throw new SteleError('corrupt', cause.message, { cause })
  }
}

function encodeText(text: string): [Uint8Array, Uint8Array] {
  const bytes = encodeUtf8(text)
  const length = new Uint8Array(4)
  putUint32(length, 0, bytes.length)
  return [length, bytes]
}

function encodeSeen({ note, seenAtMs, isServed }: SeenNote): Uint8Array[] {
  const shown = new Uint8Array(SHOWN_BYTES)
  shown[0] = isServed ? 1 : 0
  putUint64(shown, 1, seenAtMs)
  return [shown, ...encodeText(note)]
}

/** Takes what stands behind the fixed part, piece by piece. */
class Rest {
  readonly #bytes: Uint8Array
  readonly #where: string
  #at = 0

  constructor(bytes: Uint8Array, where: string) {
    this.#bytes = bytes
    this.#where = where
  }

  takeText(): string {
    const length = getUint32(this.#take(4), 0, this.#where)
    return decodeUtf8(this.#take(length), this.#where)
  }

  takeSeen(): SeenNote {
    const shown = this.#take(SHOWN_BYTES)
    const seenAtMs = getUint64(shown, 1, this.#where)
    return { note: this.takeText(), seenAtMs, isServed: shown[0] === 1 }
  }

  checkEmpty(): void {
    if (this.#at === this.#bytes.length) return
    throw new SteleError('malformed', `${this.#where}: the record is too long`)
  }

  #take(count: number): Uint8Array {
    const end = this.#at + count
    if (end > this.#bytes.length) throw new SteleError('malformed', `${this.#where}: the record is cut short`)
    const bytes = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return bytes
  }
}

/** The record of a mirror's head file: how often a mirror checkpoint of that log was cosigned. */
export function encodeCount(cosigned: number): Uint8Array {
  const bytes = new Uint8Array(8)
  putUint64(bytes, 0, cosigned)
  return bytes
}

/** Inverse of {@link encodeCount}. @throws SteleError `malformed`, `out_of_range` */
export function decodeCount(bytes: Uint8Array, what: string): number {
  return getUint64(bytes, 0, what)
}
