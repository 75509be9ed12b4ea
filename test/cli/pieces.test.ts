import fc from 'fast-check'
import { expect, test } from 'vitest'
import { splitLines } from '../../src/cli/add/submissions.ts'
import { formatCount, formatMs, formatSeconds } from '../../src/cli/output/units.ts'
import { Progress } from '../../src/cli/output/terminal.ts'
import { parseRange } from '../../src/cli/range.ts'
import { stele } from './fixture.ts'

test('lines come out as they went in, however the bytes were cut', async () => {
  const line = fc.uint8Array({ maxLength: 20 }).map((bytes) => bytes.map((byte) => (byte === 10 ? 11 : byte)))
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 20 }),
      fc.nat(30),
      fc.boolean(),
      async (lines, cut, ended) => {
        const text = Buffer.concat(lines.flatMap((each) => [each, Buffer.from('\n')]))
        const bytes = ended || text.length === 0 ? text : text.subarray(0, -1)
        const parts = async function* (): AsyncGenerator<Uint8Array> {
          for (let at = 0; at < bytes.length; at += cut + 1) yield bytes.subarray(at, at + cut + 1)
        }
        const got: Buffer[] = []
        for await (const { bytes: each } of splitLines(parts(), 'test')) got.push(Buffer.from(each))
        // A last line that is empty and has no line feed is none.
        const lastIsNone = !ended && lines.at(-1)?.length === 0
        const expected = lastIsNone ? lines.slice(0, -1) : lines
        expect(got).toEqual(expected.map((each) => Buffer.from(each)))
      },
    ),
  )
})

test('ranges are an index, begin..end, or begin..', () => {
  expect(parseRange('7')).toEqual({ begin: 7, end: 8, single: true })
  expect(parseRange('7..9')).toEqual({ begin: 7, end: 9, single: false })
  expect(parseRange('7..')).toEqual({ begin: 7, end: undefined, single: false })
  for (const bad of ['', '..', '..3', '3..2', 'a', '1.2', '9007199254740992']) {
    expect(() => parseRange(bad), bad).toThrow(expect.objectContaining({ code: 'usage' }) as Error)
  }
})

test('figures are written for people', () => {
  expect(formatCount(1_234_567)).toBe('1,234,567')
  expect([0.4, 12, 200, 7500].map(formatSeconds)).toEqual(['0.4 s', '12 s', '3 min 20 s', '2 h 5 min'])
  expect([0.123, 12.34, 1234.5].map(formatMs)).toEqual(['0.12 ms', '12.3 ms', '1235 ms'])
})

test('progress is drawn on a terminal, never wider than it, and nowhere else', async () => {
  const drawn: string[] = []
  const sink = { isTTY: true, columns: 40, write: (text: string) => drawn.push(text) > 0 } as never
  const bar = new Progress(sink, 'rehashing', 1000, performance.now() - 5000)
  bar.at(500)
  bar.end()
  expect(drawn[0]).toContain('rehashing  [############............]')
  expect(drawn[0]!.replace('\r\u001B[K', '').length).toBeLessThan(40)
  expect(drawn.at(-1)).toBe('\r\u001B[K')
  new Progress(undefined, 'nothing', 1).at(1)
})

test('colours: on a terminal, unless NO_COLOR or --no-color', async () => {
  const coloured = async (...args: [string[], Record<string, string>?, boolean?]): Promise<boolean> => {
    const [more, env = {}, terminal = true] = args
    const key = JSON.parse((await stele(['keygen', 'x', '--json'])).out) as { verifierKey: string }
    const { out } = await stele(
      ['verify', '-', '--hash', '00'.repeat(32), '--key', key.verifierKey, ...more],
      { stdin: 'no proof', env, terminal },
    )
    expect(out).toContain('malformed')
    return out.includes('\u001B[')
  }
  expect(await coloured([])).toBe(true)
  expect(await coloured(['--no-color'])).toBe(false)
  expect(await coloured([], { NO_COLOR: '1' })).toBe(false)
  expect(await coloured([], {}, false)).toBe(false)
})
