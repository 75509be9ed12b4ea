import { concatBytes } from '../bytes/bytes.ts'
import { MAX_ENTRY_BYTES } from '../tile/bundle.ts'

/** What an editor, or a copy from one system to another, may have done to a file, and what the file was before. */
export interface EditorChange {
  /** For a sentence: "a line feed was added at its end". */
  readonly what: string
  readonly before: Uint8Array
}

const BOM = Uint8Array.of(0xef, 0xbb, 0xbf)
const CR = 0x0d
const LF = 0x0a
const CRLF = Uint8Array.of(CR, LF)

/**
 * The usual changes that nobody means to make, alone and together: a byte order mark before the text, other line ends, a
 * line end added at the end or taken away. The fewest changes come first.
 *
 * @returns at most 23; none for a file that is longer than any entry could become
 */
export function editorChanges(file: Uint8Array): EditorChange[] {
  if (file.length > 2 * MAX_ENTRY_BYTES + BOM.length) return []
  let all: readonly Undone[] = [{ before: file, done: [] }]
  for (const undo of [undoMark, undoLineEnds, undoLastLineEnd]) {
    all = all.flatMap(({ before, done }) => [
      { before, done },
      ...undo(before).map((each) => ({ before: each.before, done: [...done, each.what] })),
    ])
  }
  return all
    .filter(({ done }) => done.length > 0)
    .toSorted((a, b) => a.done.length - b.done.length)
    .map(({ before, done }) => ({ before, what: done.join(', and ') }))
}

interface Undone {
  readonly before: Uint8Array
  readonly done: readonly string[]
}

function undoMark(file: Uint8Array): EditorChange[] {
  return BOM.every((byte, i) => file[i] === byte)
    ? [{ what: 'a byte order mark (EF BB BF) was put before it', before: file.subarray(BOM.length) }]
    : [{ what: 'the byte order mark (EF BB BF) before it was taken away', before: concatBytes(BOM, file) }]
}

function undoLineEnds(file: Uint8Array): EditorChange[] {
  const withLf = file.filter((byte, i) => byte !== CR || file[i + 1] !== LF)
  const bare = file.reduce((count, byte, i) => count + (byte === LF && file[i - 1] !== CR ? 1 : 0), 0)
  const changes: EditorChange[] = []
  if (withLf.length < file.length) changes.push({ what: 'its line feeds became CRLF', before: withLf })
  if (bare > 0)
    changes.push({ what: 'its CRLF line ends became line feeds', before: withCrlf(file, file.length + bare) })
  return changes
}

function withCrlf(file: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length)
  let at = 0
  for (const [i, byte] of file.entries()) {
    if (byte === LF && file[i - 1] !== CR) out[at++] = CR
    out[at++] = byte
  }
  return out
}

function undoLastLineEnd(file: Uint8Array): EditorChange[] {
  const changes: EditorChange[] = [
    { what: 'the line feed at its end was taken away', before: concatBytes(file, Uint8Array.of(LF)) },
    { what: 'the CRLF at its end was taken away', before: concatBytes(file, CRLF) },
  ]
  if (file.at(-1) !== LF) return changes
  const isCrlf = file.at(-2) === CR
  const what = isCrlf ? 'CRLF was added at its end' : 'a line feed was added at its end'
  return [{ what, before: file.subarray(0, file.length - (isCrlf ? 2 : 1)) }, ...changes]
}
