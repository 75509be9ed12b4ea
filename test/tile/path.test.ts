import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { widthAt } from '../../src/tile/layout.ts'
import { formatBundlePath, formatTilePath, parseTilePath, type TileRequest } from '../../src/tile/path.ts'
import { codeOf, expectCode } from '../note/expect-code.ts'
import examples from '../vectors/c2sp-examples.json' with { type: 'json' }
import paths from '../vectors/gen-tile-paths.json' with { type: 'json' }
import tessera from '../vectors/tile-paths-tessera.json' with { type: 'json' }

const format = (request: TileRequest): string =>
  request.kind === 'tile' ? formatTilePath(request) : formatBundlePath(request.index, request.width)

const level = fc.integer({ min: 0, max: 63 })
const index = fc.oneof(fc.nat({ max: 2000 }), fc.nat(), fc.maxSafeNat())
const width = fc.integer({ min: 1, max: 256 })

describe('tile paths', () => {
  test.each([
    [0, 'tile/0/000'],
    [999, 'tile/0/999'],
    [1000, 'tile/0/x001/000'],
    [1_234_067, 'tile/0/x001/x234/067'],
    [2 ** 53 - 1, 'tile/0/x009/x007/x199/x254/x740/991'],
  ])('tile %d is at %s', (index, path) => {
    expect(formatTilePath({ level: 0, index, width: 256 })).toBe(path)
    expect(formatBundlePath(index)).toBe(path.replace('tile/0', 'tile/entries'))
    expect(formatBundlePath(index, 7)).toBe(`${path.replace('tile/0', 'tile/entries')}.p/7`)
  })

  test('read back what was written', () => {
    fc.assert(
      fc.property(level, index, width, (level, index, width) => {
        const tile = { level, index, width }
        expect(parseTilePath(formatTilePath(tile))).toEqual({ kind: 'tile', ...tile })
        const bundle = { kind: 'entries', level: 0, index, width }
        expect(parseTilePath(formatBundlePath(index, width))).toEqual(bundle)
      }),
    )
  })

  test.each([
    '',
    '/tile/0/000',
    'tile/0/000/',
    'tile/0/000\n',
    'tile//0/000',
    'tile/00/000',
    'tile/01/000',
    'tile/-1/000',
    'tile/64/000',
    'tile/100/000',
    'tile/0/0',
    'tile/0/0000',
    'tile/0/x001',
    'tile/0/x001/',
    'tile/0/x1/000',
    'tile/0/005/006',
    'tile/0/x000/000',
    'tile/0/x000/x001/000',
    'tile/0/../000',
    'tile/0/%30%30%30',
    'tile/0/000.p',
    'tile/0/000.p/',
    'tile/0/000.p/0',
    'tile/0/000.p/007',
    'tile/0/000.p/256',
    'tile/0/000.p/1000',
    'tile/0/000.p/1.5',
    'tile/0/000.p/1/',
    'tile/0/x001.p/1/000',
    'tile/entries/5',
    'tile/data/000',
    'Tile/0/000',
    'checkpoint',
  ])('%j is malformed', (path) => expectCode(() => parseTilePath(path), 'malformed'))

  test('an index beyond 2^53 - 1 is out of range', () => {
    for (const groups of ['x009/x007/x199/x254/x740/992', 'x018/x446/x744/x073/x709/x551/615']) {
      expectCode(() => parseTilePath(`tile/0/${groups}`), 'out_of_range')
      expectCode(() => parseTilePath(`tile/entries/${groups}.p/3`), 'out_of_range')
    }
    expectCode(() => parseTilePath(`tile/0/${'x999/'.repeat(200)}999`), 'out_of_range')
  })

  test('random text is refused, or is written again as it was', () => {
    const piece = fc.constantFrom(
      'tile',
      'entries',
      '/',
      '0',
      '63',
      '000',
      'x001',
      'x',
      '.p/',
      '1',
      '255',
      '9',
      '.',
      '',
    )
    const text = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
    )
    const groups = fc.array(fc.constantFrom('x000/', 'x001/', 'x999/'), { maxLength: 8 })
    const near = groups.map((groups) => `tile/0/${groups.join('')}007`)
    fc.assert(
      fc.property(fc.oneof(text, near), (path) => {
        const code = codeOf(() => expect(format(parseTilePath(path))).toBe(path))
        expect([undefined, 'malformed', 'out_of_range']).toContain(code)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('vectors', () => {
  test.each(paths.cases.filter((c) => c.expect !== 'either'))(
    '$path: $expect',
    ({ path, expect: verdict }) => {
      if (verdict === 'accept') expect(format(parseTilePath(path))).toBe(path)
      else expectCode(() => parseTilePath(path), 'malformed')
    },
  )

  // A tile has one path, or caches and mirrors hold it twice: what we would not write, we do not read.
  test.each(paths.cases.filter((c) => c.expect === 'either'))('$path is refused: $why', ({ path }) => {
    expectCode(() => parseTilePath(path), 'malformed')
  })

  test('the index of the specification’s example', () => {
    const { index, path } = examples.cases.find((c) => c.name === 'tile index path')!
    expect(formatTilePath({ level: 0, index: Number(index), width: 256 })).toBe(`tile/0/${path}`)
  })

  const ofOp = (op: string): typeof tessera.cases => tessera.cases.filter((c) => c.op === op)

  test.each(ofOp('entry-bundle-path'))('the bundle of entries at $path', ({ index, log_size, path }) => {
    // `index` is an entry's; its bundle is partial when the log ends within it.
    const bundle = Math.floor(Number(index) / 256)
    expect(formatBundlePath(bundle, widthAt(0, bundle, Number(log_size)))).toBe(path)
  })

  // Tessera writes 0 for the width of a full tile.
  test.each(ofOp('tile-path'))('the tile at $path', ({ level, index, partial, path }) => {
    expect(formatTilePath({ level: Number(level), index: Number(index), width: partial || 256 })).toBe(path)
  })

  test.each(ofOp('parse').filter((c) => c.expect === 'reject'))('tile/$level/$index is refused', (c) => {
    // One of them is beyond 2^64, and so too far for us for two reasons.
    expectCode(() => parseTilePath(`tile/${c.level}/${c.index}`), 'malformed', 'out_of_range')
  })

  test.each(ofOp('parse').filter((c) => c.expect === 'accept'))('tile/$level/$index is read', (c) => {
    const path = `tile/${c.level}/${c.index}`
    const [level, index] = [Number(c.level_value), Number(c.index_value)]
    // Between 2^53 and 2^64 Tessera still reads an index that a number does not hold exactly.
    if (!Number.isSafeInteger(index)) return expectCode(() => parseTilePath(path), 'out_of_range')
    expect(parseTilePath(path)).toEqual({ kind: 'tile', level, index, width: c.partial || 256 })
  })
})
