import { concatBytes } from '../bytes/bytes.ts'
import { parseBase64, toBase64 } from '../bytes/base64.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { getUint32, putUint32 } from '../bytes/integer.ts'
import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { checkKeyName, formatKeyId } from './key-id.ts'
import type { KeyType } from './key-id.ts'

/** A signature line of a note, not verified. */
export interface NoteSignature {
  /** Key name. */
  readonly name: string
  /** Key ID, 0 to 2^32 - 1. */
  readonly id: number
  /** What follows the key ID: at least one byte; its form depends on the type of the key. */
  readonly signature: Uint8Array
}

/** A well-formed note. Its text is not to be trusted, nor shown, before {@link openNote}. */
export interface UnverifiedNote {
  /** One or more lines, each with its LF. */
  readonly text: string
  /** 1 to {@link MAX_SIGNATURES}, in order. */
  readonly signatures: readonly NoteSignature[]
}

/** The lines of a note, sorted by whether a key of the caller's verified them. */
export interface VerifiedLines {
  /** The lines that were verified, one per key, in the order of the note. */
  readonly signatures: readonly NoteSignature[]
  /** The keys of `signatures`, in the same order. */
  readonly verifiedBy: readonly VerifierKey[]
  /** Lines by keys that the caller did not name, unverified. Identical ones are listed once. */
  readonly unverified: readonly NoteSignature[]
}

/** A note with at least one good signature by a trusted key, and none that is bad. */
export interface VerifiedNote extends VerifiedLines {
  readonly text: string
}

/** A public key that verifies lines of one kind. */
export interface VerifierKey {
  readonly name: string
  /** 0 to 2^32 - 1. */
  readonly id: number
  readonly type: KeyType
  /** What follows the type byte in the text form of the key. */
  readonly publicKey: Uint8Array
  /**
   * Says whether `signature`, the bytes behind the key ID, is one by this key for a note with this text.
   * Answers false, and does not throw, for bytes of the wrong form.
   */
  verify(text: string, signature: Uint8Array): boolean
}

/** Signs notes under a name and a key ID: a key in memory, a KMS or an HSM. */
export interface NoteSigner {
  readonly name: string
  /** 0 to 2^32 - 1. */
  readonly id: number
  /**
   * Makes the bytes after the key ID.
   *
   * @param message the text of the note in UTF-8, with its last LF
   */
  sign(message: Uint8Array): Uint8Array | Promise<Uint8Array>
}

/** Most signature lines in a note. c2sp.org/signed-note asks for 16 at least; Go's package stops here. */
export const MAX_SIGNATURES = 100

/** Most bytes in a note, as in Go's package: room for 100 post-quantum signatures of 5 kB, as base64. */
export const MAX_NOTE_BYTES = 1_000_000

const LINE_START = '\u2014 '
const KEY_ID_BYTES = 4
const LF = 0x0a

/**
 * Reads a note (c2sp.org/signed-note), from its bytes or from text. Verifies nothing.
 *
 * @returns what {@link formatNote} turns into the same note again
 * @throws SteleError `malformed`
 */
export function parseNote(note: string | Uint8Array): UnverifiedNote {
  const bytes = typeof note === 'string' ? encodeUtf8(note) : note
  checkOctets(bytes, 'note')
  const whole = typeof note === 'string' ? note : decodeUtf8(note, 'note')
  // The last empty line separates: the text may contain others.
  const split = whole.lastIndexOf('\n\n')
  const block = whole.slice(split + 2)
  if (split < 0 || block === '')
    throw malformed('note: expected an empty line and signature lines at the end')
  return { text: whole.slice(0, split + 1), signatures: parseSignatures(block) }
}

/**
 * Reads signature lines alone, as a witness answers them (c2sp.org/tlog-witness). Verifies nothing.
 *
 * @param block one line or more, each with its LF
 * @throws SteleError `malformed`
 */
export function parseSignatures(block: string): NoteSignature[] {
  if (!block.endsWith('\n')) throw malformed('signature lines: expected a line feed at the end')
  const lines = block.slice(0, -1).split('\n')
  checkCount(lines.length)
  return lines.map(parseLine)
}

/** Inverse of {@link parseSignatures}. @throws SteleError `malformed` for what it would not read back */
export function formatSignatures(signatures: readonly NoteSignature[]): string {
  checkCount(signatures.length)
  return signatures.map(formatLine).join('')
}

/**
 * Writes a note.
 *
 * @throws SteleError `malformed` for text, names or signatures that {@link parseNote} would not read back
 */
export function formatNote({ text, signatures }: UnverifiedNote): string {
  checkNoteText(text)
  const note = `${text}\n${formatSignatures(signatures)}`
  checkOctets(encodeUtf8(note), 'note')
  return note
}

/**
 * Verifies a note against the keys that the caller trusts.
 *
 * A line belongs to a key if name *and* key ID are the same. Lines by other keys are ignored, and so is a further line
 * by a key already seen. One bad signature by a trusted key makes the whole note invalid.
 *
 * @throws SteleError `malformed`; `bad_signature`; `untrusted_signer` if no line is by a trusted key, or two trusted
 *   keys claim the same line
 */
export function openNote(
  note: string | Uint8Array | UnverifiedNote,
  keys: readonly VerifierKey[],
): VerifiedNote {
  const unverified = typeof note === 'string' || note instanceof Uint8Array ? parseNote(note) : note
  const verified = verifyLines(unverified, keys)
  if (verified.signatures.length === 0) {
    const wanted = keys.map(showKey).join(', ')
    throw new SteleError('untrusted_signer', `note: expected a signature by one of [${wanted}], found none`)
  }
  return { text: unverified.text, ...verified }
}

/**
 * Verifies the lines of a note by certain keys, as {@link openNote} does. If there is none, that is no error:
 * `signatures` is empty then, and the text is unverified.
 *
 * @throws SteleError `bad_signature`; `untrusted_signer` if two of the keys claim the same line
 */
export function verifyLines(
  { text, signatures }: UnverifiedNote,
  keys: readonly VerifierKey[],
): VerifiedLines {
  const verified = new Map<VerifierKey, NoteSignature>()
  const unverified = new Map<string, NoteSignature>()
  for (const signature of signatures) {
    const key = keyOf(signature, keys)
    if (key === undefined) {
      unverified.set(formatLine(signature), signature)
    } else if (!verified.has(key)) {
      checkSignature(text, signature, key)
      verified.set(key, signature)
    }
  }
  return {
    signatures: [...verified.values()],
    verifiedBy: [...verified.keys()],
    unverified: [...unverified.values()],
  }
}

/**
 * Signs a text, or adds signatures to a note that has some.
 *
 * @param existing lines already there, kept in their order; those by one of `signers` are replaced. They are not
 *   verified
 * @returns the note: existing lines first, then one line per signer
 * @throws SteleError `malformed` for text that no note can hold; `usage` for two signers of the same name and key ID;
 *   what a signer throws
 */
export async function signNote(
  text: string,
  signers: readonly NoteSigner[],
  existing: readonly NoteSignature[] = [],
): Promise<string> {
  checkNoteText(text)
  const clash = signers.find((signer, i) => signers.slice(0, i).some((other) => sameKey(signer, other)))
  if (clash) throw new SteleError('usage', `signers: ${showKey(clash)} is there twice`)
  const message = encodeUtf8(text)
  const added = await Promise.all(
    signers.map(async (signer) => ({
      name: signer.name,
      id: signer.id,
      signature: await signer.sign(message),
    })),
  )
  const kept = existing.filter((line) => !signers.some((signer) => sameKey(signer, line)))
  return formatNote({ text, signatures: [...kept, ...added] })
}

/**
 * Refuses what cannot be the text of a note: no LF at the end, a control character below U+0020 other than LF, or
 * half of a surrogate pair.
 *
 * @throws SteleError `malformed`
 */
export function checkNoteText(text: string): void {
  checkOctets(encodeUtf8(text), 'note text')
  if (!text.endsWith('\n')) throw malformed('note text: expected a line feed at the end')
}

function checkOctets(bytes: Uint8Array, what: string): void {
  if (bytes.length > MAX_NOTE_BYTES) {
    throw malformed(`${what}: expected at most ${MAX_NOTE_BYTES} bytes, got ${bytes.length}`)
  }
  // Below U+0020 UTF-8 is ASCII, and no longer sequence contains such a byte.
  const bad = bytes.find((byte) => byte < 0x20 && byte !== LF)
  if (bad !== undefined) {
    throw malformed(`${what}: expected no control character but line feed, got 0x${bad.toString(16)}`)
  }
}

function checkCount(count: number): void {
  if (count < 1 || count > MAX_SIGNATURES) {
    throw malformed(`note: expected 1 to ${MAX_SIGNATURES} signatures, got ${count}`)
  }
}

function parseLine(line: string, i: number): NoteSignature {
  const where = `signature line ${i + 1}`
  const nameEnd = line.indexOf(' ', LINE_START.length)
  if (!line.startsWith(LINE_START) || nameEnd < 0) {
    throw malformed(`${where}: expected "${LINE_START}<key name> <base64>", got ${excerpt(line)}`)
  }
  const name = line.slice(LINE_START.length, nameEnd)
  checkKeyName(name, where)
  const blob = parseBase64(line.slice(nameEnd + 1), where)
  if (blob.length <= KEY_ID_BYTES) {
    throw malformed(`${where}: expected a key ID of 4 bytes and a signature, got ${blob.length} bytes`)
  }
  return { name, id: getUint32(blob, 0, where), signature: blob.subarray(KEY_ID_BYTES) }
}

function formatLine({ name, id, signature }: NoteSignature): string {
  checkKeyName(name, 'signature')
  if (signature.length === 0) throw malformed(`signature by ${name}: expected at least one byte`)
  const keyId = new Uint8Array(KEY_ID_BYTES)
  putUint32(keyId, 0, id)
  return `${LINE_START}${name} ${toBase64(concatBytes(keyId, signature))}\n`
}

function keyOf(signature: NoteSignature, keys: readonly VerifierKey[]): VerifierKey | undefined {
  const [key, other] = keys.filter((candidate) => sameKey(candidate, signature))
  if (other !== undefined) {
    throw new SteleError('untrusted_signer', `note: two trusted keys are called ${showKey(other)}`)
  }
  return key
}

function checkSignature(text: string, { signature }: NoteSignature, key: VerifierKey): void {
  if (!key.verify(text, signature)) {
    throw new SteleError('bad_signature', `note: the signature by ${showKey(key)} does not verify`)
  }
}

type KeyHint = Pick<NoteSignature, 'name' | 'id'>

function sameKey(a: KeyHint, b: KeyHint): boolean {
  return a.name === b.name && a.id === b.id
}

function showKey({ name, id }: KeyHint): string {
  return `${name}+${formatKeyId(id)}`
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', message)
}
