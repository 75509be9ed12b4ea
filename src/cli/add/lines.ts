import { SteleError } from '../../errors.ts'
import { MAX_ENTRY_BYTES } from '../../tile/bundle.ts'

const LF = 0x0a

/** A line, without its line feed, and its number from 1 on. */
export interface Line {
  readonly number: number
  readonly bytes: Uint8Array
}

/**
 * Cuts bytes into lines as they come. A last line without a line feed counts; a carriage return is part of its line.
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
