import { startsWithMark } from '../../bytes/text.ts'
import { SteleError } from '../../errors.ts'
import { MAX_ENTRY_BYTES } from '../../tile/bundle.ts'
import { readInput, STDIN, streamInput } from '../files/input.ts'
import type { Io } from '../io.ts'
import { splitLines } from './lines.ts'

/** An entry to be logged, and where it came from. */
export interface Submission {
  readonly entry: Uint8Array
  /** The file, or `-`. */
  readonly file: string
  /** With --lines: the line's number, from 1 on. */
  readonly line: number | undefined
}

/** Each file as one entry. @throws SteleError `too_large`, `io_error` */
export async function* wholeFiles(
  files: readonly string[],
  io: Io,
): AsyncGenerator<Submission, void, undefined> {
  for (const file of files) {
    const entry = await readInput(file, io)
    if (entry.length > MAX_ENTRY_BYTES) {
      throw new SteleError(
        'too_large',
        `${nameOf(file)}: expected at most ${MAX_ENTRY_BYTES} bytes in an entry, got ${entry.length}; --lines makes ` +
          `every line an entry of its own`,
      )
    }
    yield { entry, file, line: undefined }
  }
}

/** Each line as one entry. @throws SteleError `malformed` for an empty line, or a byte order mark before the first one; `too_large`, `io_error` */
export async function* linesOf(
  files: readonly string[],
  io: Io,
  skipEmpty: boolean,
): AsyncGenerator<Submission, void, undefined> {
  for (const file of files) {
    for await (const { number, bytes } of splitLines(streamInput(file, io), nameOf(file))) {
      if (number === 1 && startsWithMark(bytes)) throw markedLine(file)
      if (bytes.length > 0) yield { entry: bytes, file, line: number }
      else if (!skipEmpty) throw emptyLine(file, number)
    }
  }
}

function emptyLine(file: string, number: number): SteleError {
  // An empty entry is legal, an empty line nearly always an accident; the API refuses it in batches, too.
  return new SteleError(
    'malformed',
    `${nameOf(file)}, line ${number}: it is empty; --skip-empty leaves such lines out`,
  )
}

function markedLine(file: string): SteleError {
  return new SteleError(
    'malformed',
    `${nameOf(file)}, line 1: a byte order mark (EF BB BF) stands before it, which would become part of the entry; ` +
      'save the file without one',
  )
}

function nameOf(file: string): string {
  return file === STDIN ? 'standard input' : file
}
