import { concatBytes } from '../bytes/bytes.ts'
import { getUint16, getUint32, getUint64, putUint16, putUint32, putUint64 } from '../bytes/integer.ts'
import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import { hasCode, SteleError } from '../errors.ts'
import { asHash, HASH_BYTES, type Hash } from '../merkle/hash.ts'

/** All that a mirror knows of one log beside its entries and tiles: written with them in one atomic step. */
export interface MirrorRecord {
  /** Root hash of the tree of all stored entries, which may be more than the mirror checkpoint has. */
  readonly root: Hash
  /** How often a mirror checkpoint was cosigned: the head file has the same number, or is one behind. */
  readonly cosigned: number
  /** Notes of the log with its own lines, each extending the one before; the last is the pending checkpoint. */
  readonly pending: readonly string[]
  /** The mirror checkpoint: the log's lines and the mirror's; undefined while there is none. */
  readonly mirrored: string | undefined
  /** The newest checkpoint that the log's URL was seen to serve; undefined while there is none. */
  readonly followed: string | undefined
}

/*
 * uint8 1 | root hash | uint64 cosigned | uint16 number of pending notes | the pending notes, the mirror checkpoint
 * and the followed one, each as uint32 length and bytes. `proto-docs/mirror.md` describes it.
 */
const VERSION = 1
const FIXED_BYTES = 1 + HASH_BYTES + 8 + 2

/** A record as bytes for the head of a commit. */
export function encodeRecord({
  root,
  cosigned,
  pending,
  mirrored = '',
  followed = '',
}: MirrorRecord): Uint8Array {
  const fixed = new Uint8Array(FIXED_BYTES)
  fixed[0] = VERSION
  fixed.set(root, 1)
  putUint64(fixed, 1 + HASH_BYTES, cosigned)
  putUint16(fixed, 1 + HASH_BYTES + 8, pending.length)
  return concatBytes(fixed, ...[...pending, mirrored, followed].flatMap(encodeText))
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
    const texts = decodeTexts(bytes.subarray(FIXED_BYTES), count + 2, where)
    const [mirrored, followed] = texts.splice(count).map((text) => (text === '' ? undefined : text))
    return {
      root: asHash(bytes.slice(1, 1 + HASH_BYTES), where),
      cosigned: getUint64(bytes, 1 + HASH_BYTES, where),
      pending: texts,
      mirrored,
      followed,
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

function decodeTexts(bytes: Uint8Array, count: number, where: string): string[] {
  const texts: string[] = []
  let at = 0
  for (let i = 0; i < count; i++) {
    const end = at + 4 + getUint32(bytes, at, where)
    if (end > bytes.length) throw new SteleError('malformed', `${where}: the record is cut short`)
    texts.push(decodeUtf8(bytes.subarray(at + 4, end), where))
    at = end
  }
  if (at < bytes.length) throw new SteleError('malformed', `${where}: the record is too long`)
  return texts
}
