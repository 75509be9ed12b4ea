import { startsWithMark } from '../../bytes/text.ts'
import { SteleError } from '../../errors.ts'
import { MAX_ENTRY_BYTES } from '../../tile/bundle.ts'
import { readInput, STDIN, streamInput } from '../files/input.ts'
import type { Io } from '../io.ts'

/** An entry to log, and its source. */
export interface Submission {
  readonly entry: Uint8Array
  /** The file, or `-`. */
  readonly file: string
  /** With --lines, the line number, counted from 1. */
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

/**
 * Each line as one entry. @throws SteleError `malformed` for an empty line or a byte order mark at the start;
 * `too_large`, `io_error`
 */
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
  // An empty entry is legal, but an empty line is usually an accident. The API refuses it in batches, too.
  return new SteleError(
    'malformed',
    `${nameOf(file)}, line ${number}: the line is empty; --skip-empty skips empty lines`,
  )
}

function markedLine(file: string): SteleError {
  return new SteleError(
    'malformed',
    `${nameOf(file)}, line 1: it begins with a byte order mark (EF BB BF), which would become part of the entry; ` +
      'save the file without one',
  )
}

function nameOf(file: string): string {
  return file === STDIN ? 'standard input' : file
}

const LF = 0x0a

/** A line without its line feed, and its number, counted from 1. */
interface Line {
  readonly number: number
  readonly bytes: Uint8Array
}

/**
 * Splits a stream of bytes into lines. A last line without a line feed counts; a carriage return is part of its line.
 * Memory is bounded by the longest entry.
 *
 * @param what names the source in error messages
 * @throws SteleError `too_large` naming the line
 */
export async function* splitLines(
  source: AsyncIterable<Uint8Array>,
  what: string,
): AsyncGenerator<Line, void, undefined> {
  let number = 1
  let rest: Buffer = Buffer.alloc(0)
  for await (const part of source) {
    rest =
      rest.length > 0 ? Buffer.concat([rest, part]) : Buffer.from(part.buffer, part.byteOffset, part.length)
    let begin = 0
    for (let end = rest.indexOf(LF); end >= 0; end = rest.indexOf(LF, begin)) {
      yield lineOf(rest.subarray(begin, end), number++, what)
      begin = end + 1
    }
    rest = rest.subarray(begin)
    lineOf(rest, number, what)
  }
  if (rest.length > 0) yield lineOf(rest, number, what)
}

function lineOf(bytes: Uint8Array, number: number, what: string): Line {
  if (bytes.length <= MAX_ENTRY_BYTES) return { number, bytes }
  throw new SteleError(
    'too_large',
    `${what}, line ${number}: expected at most ${MAX_ENTRY_BYTES} bytes, got more`,
  )
}

/** The most bytes of one batch: half of the server's default limit. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024

/** Gathers submissions into batches of at most `most` entries. */
export async function* inBatches(
  submissions: AsyncIterable<Submission>,
  most: number,
): AsyncGenerator<Submission[], void, undefined> {
  let batch: Submission[] = []
  let bytes = 0
  for await (const submission of submissions) {
    const size = submission.entry.length + 2
    if (batch.length === most || (batch.length > 0 && bytes + size > MAX_BATCH_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(submission)
    bytes += size
  }
  if (batch.length > 0) yield batch
}
