import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { formatAddCheckpoint, parseAddCheckpoint, parseSignSubtree } from '../../src/note/add-checkpoint.ts'
import { expectCode } from './expect-code.ts'
import { FakeLog } from '../witness/fake-log.ts'

const log = new FakeLog('log.example/demo', 20)
const note = await log.checkpoint(14)
const hash = Buffer.from(log.root(3)).toString('base64')

describe('the body of add-checkpoint', () => {
  test('what is written is read back', () => {
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 63 }),
        (oldSize, hashes) => {
          const path = hashes as ReturnType<FakeLog['proof']>
          const read = parseAddCheckpoint(encodeUtf8(formatAddCheckpoint(oldSize, path, note)))
          expect(read).toMatchObject({ oldSize, path, checkpoint: { origin: log.origin, size: 14 } })
        },
      ),
      { numRuns: 30 },
    )
  })

  test.each([
    ['no old size', `old \n\n${note}`],
    ['another word', `new 3\n\n${note}`],
    ['two spaces', `old  3\n\n${note}`],
    ['a leading zero', `old 03\n\n${note}`],
    ['hexadecimal', `old 0x3\n\n${note}`],
    ['a carriage return', `old 3\r\n\n${note}`],
    ['a proof line of 31 bytes', `old 3\n${Buffer.alloc(31).toString('base64')}\n\n${note}`],
    ['base64 of the other alphabet', `old 3\n${'_'.repeat(43)}=\n\n${note}`],
    ['base64 without padding', `old 3\n${hash.slice(0, -1)}\n\n${note}`],
    ['a blank behind a hash', `old 3\n${hash} \n\n${note}`],
    ['no empty line', `old 3\n${note}`],
    ['no checkpoint', 'old 3\n\n'],
    ['no signature', `old 3\n\n${note.slice(0, note.indexOf('—'))}`],
    ['no last line feed', `old 3\n\n${note.slice(0, -1)}`],
    ['nothing', ''],
  ])('%s is malformed', (_, body) => {
    expectCode(() => parseAddCheckpoint(encodeUtf8(body)), 'malformed')
  })

  test('a size above 2^53-1 is out of range', () => {
    expectCode(() => parseAddCheckpoint(encodeUtf8(`old 9007199254740992\n\n${note}`)), 'out_of_range')
  })

  test('random bytes throw malformed and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        for (const parse of [parseAddCheckpoint, parseSignSubtree])
          expectCode(() => parse(bytes), 'malformed')
      }),
    )
  })
})

describe('the body of sign-subtree', () => {
  test.each([
    ['no hash', `subtree 8 13\n\n${note}`],
    ['one number', `subtree 8\n${hash}\n\n${note}`],
    ['three numbers', `subtree 8 13 14\n${hash}\n\n${note}`],
    ['a sign', `subtree +8 13\n${hash}\n\n${note}`],
    ['64 proof lines', `subtree 8 13\n${`${hash}\n`.repeat(65)}\n${note}`],
  ])('%s is malformed', (_, body) => {
    expectCode(() => parseSignSubtree(encodeUtf8(body)), 'malformed')
  })

  test.each([
    [1, 3],
    [8, 15],
    [8, 8],
    [13, 8],
    [4, 9],
  ])('[%i, %i) is no subtree of 14 leaves', (start, end) => {
    expectCode(
      () => parseSignSubtree(encodeUtf8(`subtree ${start} ${end}\n${hash}\n\n${note}`)),
      'out_of_range',
    )
  })

  test('63 proof lines are read', () => {
    const body = encodeUtf8(`subtree 8 13\n${`${hash}\n`.repeat(64)}\n${note}`)
    expect(parseSignSubtree(body)).toMatchObject({ start: 8, end: 13, path: { length: 63 } })
  })
})
