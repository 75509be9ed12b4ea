import { parseBase64, toBase64 } from '../bytes/base64.ts'
import { parseSize } from '../bytes/decimal.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { asHash } from '../merkle/hash.ts'
import type { Hash } from '../merkle/hash.ts'
import { isSubtree } from '../merkle/range.ts'
import { parseCheckpoint } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { parseNote } from './note.ts'
import type { UnverifiedNote } from './note.ts'

/** Most proof lines that c2sp.org/tlog-witness lets a caller send: enough for trees of 2^63 leaves. */
export const MAX_PROOF_LINES = 63

/** A well-formed checkpoint in a request, unverified. */
export interface Submitted {
  readonly note: UnverifiedNote
  readonly checkpoint: Checkpoint
}

/** What `add-checkpoint` asks for (c2sp.org/tlog-witness). */
export interface AddCheckpoint extends Submitted {
  /** The size that the caller believes this witness last cosigned, 0 to 2^53 - 1. */
  readonly oldSize: number
  /** Consistency proof from there to the checkpoint, at most {@link MAX_PROOF_LINES}. */
  readonly path: readonly Hash[]
}

/** What `sign-subtree` asks for (c2sp.org/tlog-witness). */
export interface SignSubtree extends Submitted {
  /** `[start, end)` is a subtree, and the end is not beyond the checkpoint. */
  readonly start: number
  readonly end: number
  readonly hash: Hash
  /** Subtree consistency proof to the checkpoint, at most {@link MAX_PROOF_LINES}. */
  readonly path: readonly Hash[]
}

/**
 * Reads the body of an `add-checkpoint`. Verifies nothing.
 *
 * @throws SteleError `malformed`; `out_of_range` for a size above 2^53 - 1
 */
export function parseAddCheckpoint(body: Uint8Array): AddCheckpoint {
  const [[first = '', ...proof], submitted] = split(body)
  const [, oldSize] = /^old (.*)$/.exec(first) ?? []
  if (oldSize === undefined) throw malformed(`line 1: expected "old <size>", got ${excerpt(first)}`)
  return { ...submitted, oldSize: parseSize(oldSize, 'body line 1'), path: parseProof(proof, 2) }
}

/** Formats the body of an `add-checkpoint` request. @param note the signed checkpoint, verbatim */
export function formatAddCheckpoint(oldSize: number, path: readonly Hash[], note: string): string {
  return [`old ${oldSize}`, ...path.map(toBase64), '', note].join('\n')
}

/**
 * Reads the body of a `sign-subtree`. Verifies nothing.
 *
 * @throws SteleError `malformed`; `out_of_range` for a number above 2^53 - 1, for what is no subtree, and for one that
 *   ends beyond the checkpoint
 */
export function parseSignSubtree(body: Uint8Array): SignSubtree {
  const [[first = '', second = '', ...proof], submitted] = split(body)
  const [, from, to] = /^subtree ([^ ]*) ([^ ]*)$/.exec(first) ?? []
  if (from === undefined || to === undefined) {
    throw malformed(`line 1: expected "subtree <start> <end>", got ${excerpt(first)}`)
  }
  const [start, end] = [parseSize(from, 'body line 1'), parseSize(to, 'body line 1')]
  const hash = parseHash(second, 2)
  const path = parseProof(proof, 3)
  if (!isSubtree(start, end) || end > submitted.checkpoint.size) {
    const { size } = submitted.checkpoint
    throw new SteleError(
      'out_of_range',
      `body line 1: [${start}, ${end}) is no subtree of a tree of size ${size}`,
    )
  }
  return { ...submitted, start, end, hash, path }
}

/** The lines up to the first empty one, and the checkpoint behind it, which has an empty line of its own. */
function split(body: Uint8Array): [string[], Submitted] {
  const text = decodeUtf8(body, 'body')
  const at = text.indexOf('\n\n')
  if (at < 0) throw malformed('expected an empty line and a checkpoint behind it')
  const note = parseNote(text.slice(at + 2))
  return [text.slice(0, at).split('\n'), { note, checkpoint: parseCheckpoint(note.text) }]
}

function parseProof(lines: readonly string[], firstLine: number): Hash[] {
  if (lines.length > MAX_PROOF_LINES) {
    throw malformed(`expected at most ${MAX_PROOF_LINES} proof lines, got ${lines.length}`)
  }
  return lines.map((line, i) => parseHash(line, firstLine + i))
}

function parseHash(line: string, number: number): Hash {
  const what = `body line ${number}`
  return asHash(parseBase64(line, what), what)
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', `body: ${message}`)
}
