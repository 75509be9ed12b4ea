import { parseSize } from '../bytes/decimal.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { checkLogKeys, type LogIdentity } from './checkpoint.ts'
import { KEY_TYPE } from './key-id.ts'
import { formatVerifierKey, parseVerifierKey } from './key.ts'
import { openNote, parseNote, signNote, type NoteSigner, type VerifierKey } from './note.ts'

/**
 * A statement in which a log's old key names a new one that signs for the same log. `proto-docs/keys.md` has the
 * format.
 */
export interface KeyRotation {
  readonly origin: string
  /** Size of the log's tree when this was signed. */
  readonly size: number
  /** When that was, in seconds since 1970. */
  readonly timeSeconds: number
  /** The key that signs the statement, Ed25519. ML-DSA-44 keys sign trees only, so they cannot announce keys. */
  readonly old: VerifierKey
  /** The key that is announced: Ed25519 or ML-DSA-44, under the same name. */
  readonly next: VerifierKey
  /** Until when the old key signs as well, in seconds since 1970; 0: nothing is announced about its end. */
  readonly overlapSeconds: number
}

/** Most statements that are followed: a log that rotates every month has as many after 80 years. */
export const MAX_ROTATIONS = 1000
/** Most characters of all of them: such a statement has at most about 3,000. */
export const MAX_ROTATIONS_CHARS = 4_000_000

// No origin has a space, so that no checkpoint begins like this; nor could the line behind be the size of a tree.
const HEADER = 'stele key rotation v1'
const LABELS = ['origin', 'size', 'time', 'old', 'new', 'until'] as const

/** The text that the old key signs. @throws SteleError `malformed` for what {@link openRotation} would not read */
export function formatRotation({
  origin,
  size,
  timeSeconds,
  old,
  next,
  overlapSeconds,
}: KeyRotation): string {
  checkKeys(old, next)
  const values = [
    origin,
    parseSize(String(size), 'size'),
    parseSize(String(timeSeconds), 'time'),
    formatVerifierKey(old),
    formatVerifierKey(next),
    parseSize(String(overlapSeconds), 'until'),
  ]
  return [HEADER, ...LABELS.map((label, i) => `${label} ${values[i]}`), ''].join('\n')
}

/**
 * Makes the statement.
 *
 * @param signer of the old key
 * @returns the signed note
 */
export function signRotation(rotation: KeyRotation, signer: NoteSigner): Promise<string> {
  return signNote(formatRotation(rotation), [signer])
}

/**
 * Reads a statement. Its form is checked, its signature is not: {@link openRotation}.
 *
 * @throws SteleError `malformed`; `out_of_range` for numbers above 2^53 - 1
 */
export function parseRotation(note: string): KeyRotation {
  const { text } = parseNote(note)
  const [header, ...lines] = text.slice(0, -1).split('\n')
  if (header !== HEADER) throw malformed(`expected "${HEADER}", got ${excerpt(header ?? '')}`)
  if (lines.length !== LABELS.length) throw malformed(`expected ${LABELS.length} lines, got ${lines.length}`)
  const [origin, size, time, old, next, until] = lines.map((line, i) => valueOf(line, LABELS[i]!))
  const rotation = {
    origin: origin!,
    size: parseSize(size!, 'key rotation: size'),
    timeSeconds: parseSize(time!, 'key rotation: time'),
    old: parseVerifierKey(old!),
    next: parseVerifierKey(next!),
    overlapSeconds: parseSize(until!, 'key rotation: until'),
  }
  checkKeys(rotation.old, rotation.next)
  return rotation
}

/**
 * Reads a statement and verifies the signature of its old key. The caller decides whether to trust that key.
 *
 * @throws SteleError as {@link parseRotation}; `untrusted_signer`, `bad_signature`
 */
export function openRotation(note: string): KeyRotation {
  const rotation = parseRotation(note)
  openNote(note, [rotation.old])
  return rotation
}

/**
 * Cuts a file of statements, one behind the other, into notes. An empty file holds none.
 *
 * @throws SteleError `too_large`; `malformed` for a file that does not begin with a statement
 */
export function splitRotations(file: string | Uint8Array): string[] {
  const text = typeof file === 'string' ? file : decodeUtf8(file, 'key rotations')
  if (text.length > MAX_ROTATIONS_CHARS) throw tooLarge(`${MAX_ROTATIONS_CHARS} characters`)
  if (text === '') return []
  // No line of a note but the first of a statement can be this one: the others have labels, a dash, or nothing.
  const notes = text.split(new RegExp(`(?<=\n)(?=${HEADER}\n)`))
  if (notes.length > MAX_ROTATIONS) throw tooLarge(`${MAX_ROTATIONS} statements`)
  if (!notes[0]!.startsWith(`${HEADER}\n`)) throw malformed(`expected "${HEADER}" as the first line`)
  return notes
}

/** The keys that statements lead to. */
export interface FollowedKeys {
  /** The pinned keys first. */
  readonly keys: readonly VerifierKey[]
  /** The statements that lead from them to the others, each once, in an order in which they can be followed. */
  readonly statements: readonly string[]
}

/**
 * The keys by which a log is trusted: the pinned ones, and those that statements lead to from them. Other statements
 * are ignored, since any party could have made them.
 *
 * @param log its origin and the pinned keys
 * @param rotations a file of statements, in any order
 * @returns the pinned keys first
 * @throws SteleError `too_large`, `malformed`, `out_of_range`; `wrong_origin` for a statement about another log;
 *   `bad_signature`, `untrusted_signer` for one in the name of a trusted key that it has not signed; `usage` as
 *   `openCheckpoint`
 */
export function followRotations(log: LogIdentity, rotations: string | Uint8Array): VerifierKey[] {
  return [...traceRotations(log, rotations).keys]
}

/** As {@link followRotations}, and also returns the statements that were needed, for a caller that stores them. */
export function traceRotations(log: LogIdentity, rotations: string | Uint8Array): FollowedKeys {
  checkLogKeys(log.verifiers)
  const trusted = new Map(log.verifiers.map((key) => [formatVerifierKey(key), key]))
  const statements: string[] = []
  let open = splitRotations(rotations).map((note) => ({ note, rotation: parseRotation(note) }))
  for (const { rotation } of open) checkOrigin(rotation, log.origin)
  for (let before = -1; before !== open.length;) {
    before = open.length
    open = open.filter(({ note, rotation }) => {
      if (!trusted.has(formatVerifierKey(rotation.old))) return true
      openRotation(note)
      const next = formatVerifierKey(rotation.next)
      if (!trusted.has(next)) statements.push(note)
      trusted.set(next, rotation.next)
      return false
    })
  }
  return { keys: [...trusted.values()], statements }
}

function checkOrigin({ origin }: KeyRotation, expected: string): void {
  if (origin === expected) return
  throw new SteleError(
    'wrong_origin',
    `key rotation: expected one of ${excerpt(expected)}, got one of ${excerpt(origin)}`,
  )
}

function checkKeys(old: VerifierKey, next: VerifierKey): void {
  if (old.type !== KEY_TYPE.ed25519) throw malformed('expected an Ed25519 key behind "old"')
  if (next.type !== KEY_TYPE.ed25519 && next.type !== KEY_TYPE.mlDsa44Cosignature) {
    throw malformed('expected an Ed25519 or ML-DSA-44 key behind "new"')
  }
  if (old.name !== next.name) throw malformed('expected two keys of one name')
  if (formatVerifierKey(old) === formatVerifierKey(next)) throw malformed('expected two different keys')
}

function valueOf(line: string, label: string): string {
  if (line.startsWith(`${label} `)) return line.slice(label.length + 1)
  throw malformed(`expected "${label} ...", got ${excerpt(line)}`)
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', `key rotation: ${message}`)
}

function tooLarge(bound: string): SteleError {
  return new SteleError('too_large', `key rotations: expected at most ${bound}`)
}
