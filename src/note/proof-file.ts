import { parseBase64, toBase64 } from '../bytes/base64.ts'
import { parseSize } from '../bytes/decimal.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { asHash } from '../merkle/hash.ts'
import type { Hash } from '../merkle/hash.ts'

/** An inclusion proof and the checkpoint that it leads to, in one file (c2sp.org/tlog-proof). */
export interface ProofFile {
  /** Place of the leaf, 0 to 2^53 - 1. */
  readonly index: number
  /** Inclusion path, leaf side first, at most {@link MAX_PATH}; empty for a tree of one. */
  readonly path: readonly Hash[]
  /** The signed checkpoint as text, verbatim. Not even known to be a note: open it. */
  readonly checkpoint: string
  /** Opaque bytes that are not signed. May be present and empty. */
  readonly extra?: Uint8Array
}

/** Most hashes in a path: as many as c2sp.org/tlog-witness allows in a proof, enough for 2^63 leaves. */
export const MAX_PATH = 63

const HEADER = 'c2sp.org/tlog-proof@v1'
const EXTRA = 'extra '
const INDEX = 'index '

/**
 * Reads a `.tlog-proof` file, from its bytes or from text. Verifies nothing.
 *
 * @returns what {@link formatProofFile} turns into the same file again
 * @throws SteleError `malformed`; `out_of_range` for an index above 2^53 - 1
 */
export function parseProofFile(file: string | Uint8Array): ProofFile {
  if (typeof file !== 'string') checkNotUtf16(file)
  const text = typeof file === 'string' ? file : decodeUtf8(file, 'proof file')
  checkSaved(text)
  // The first empty line separates: the checkpoint has another one.
  const split = text.indexOf('\n\n')
  if (split < 0) throw malformed('proof file: expected an empty line before the checkpoint')
  const checkpoint = text.slice(split + 2)
  checkCheckpoint(checkpoint)
  const [header, ...lines] = text.slice(0, split).split('\n')
  if (header !== HEADER)
    throw malformed(`proof file line 1: expected "${HEADER}", got ${excerpt(header ?? '')}`)
  const extra = lines[0]?.startsWith(EXTRA)
    ? { extra: parseBase64(lines.shift()!.slice(EXTRA.length), 'proof file, extra') }
    : {}
  const index = parseIndex(lines.shift())
  checkPathLength(lines.length)
  return { index, path: lines.map(parsePathLine), checkpoint, ...extra }
}

/**
 * Writes a `.tlog-proof` file.
 *
 * @throws SteleError `malformed` for a checkpoint or a path that {@link parseProofFile} would not read back;
 *   `out_of_range` for an index above 2^53 - 1
 */
export function formatProofFile({ index, path, checkpoint, extra }: ProofFile): string {
  checkCheckpoint(checkpoint)
  checkPathLength(path.length)
  return [
    HEADER,
    ...(extra === undefined ? [] : [EXTRA + toBase64(extra)]),
    INDEX + String(parseSize(String(index), 'index')),
    ...path.map(toBase64),
    '',
    checkpoint,
  ].join('\n')
}

// Changes that editors make when they save a file. They are refused like any other deviation, but named.

function checkSaved(text: string): void {
  const expected = `proof file line 1: expected "${HEADER}" and a line feed (0A)`
  if (text.startsWith('\uFEFF'))
    throw malformed(`${expected}, got a byte order mark (EF BB BF) before it. ${SAVED}`)
  const [first] = text.split('\n', 1)
  if (first === `${HEADER}\r`) throw malformed(`${expected}, got CRLF (0D 0A) as its line end. ${SAVED}`)
}

function checkNotUtf16([first, second]: Uint8Array): void {
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)
  if (isUtf16) throw malformed(`proof file: expected UTF-8, got UTF-16. ${SAVED}`)
}

const SAVED =
  'An editor or a copy from another system saves text like this; use the file as the log gave it. Nothing else in it ' +
  'was looked at'

function parseIndex(line: string | undefined): number {
  if (!line?.startsWith(INDEX)) {
    throw malformed(`proof file: expected "${INDEX}<number>", got ${excerpt(line ?? '')}`)
  }
  return parseSize(line.slice(INDEX.length), 'proof file, index')
}

function parsePathLine(line: string, i: number): Hash {
  const where = `proof file, hash ${i + 1}`
  return asHash(parseBase64(line, where), where)
}

function checkCheckpoint(checkpoint: string): void {
  encodeUtf8(checkpoint) // refuses what would not come back from bytes
  if (checkpoint === '') throw malformed('proof file: expected a checkpoint at the end')
}

function checkPathLength(length: number): void {
  if (length > MAX_PATH) throw malformed(`proof file: expected at most ${MAX_PATH} hashes, got ${length}`)
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', message)
}
