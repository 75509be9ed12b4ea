import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import { describe, expect, test } from 'vitest'
import { SteleError } from '../../src/errors.ts'
import { checkLevelFiles, readLevelFiles } from '../../src/storage/level-files.ts'
import { readLevelLog, type LevelRecord, type TornTail } from '../../src/storage/level-log.ts'
import { crc32c, lengthWithCrc32c, maskedCrc32c } from '../../src/storage/crc32c.ts'
import { testFolder } from '../support/folder.ts'

/** Written by LevelDB 1.20: a batch that puts a and deletes b, a batch that puts c; and its MANIFEST before and after. */
const LOG = Buffer.from(
  'a76f1d05160001010000000000000002000000010161036f6e6500016221b3f8d31a0001030000000000000001000000' +
    '0101630a78787878787878787878',
  'hex',
)
const MANIFEST = Buffer.from(
  '56f9b8f81c0001011a6c6576656c64622e4279746577697365436f6d70617261746f72fd95dea42100010206090003070403070005' +
    'c9010961010100000000000009630103000000000000',
  'hex',
)

async function read(
  bytes: Uint8Array,
  keep = 12,
): Promise<{ records: LevelRecord[]; torn: TornTail | undefined }> {
  const path = join(testFolder(), '000003.log')
  writeFileSync(path, bytes)
  const records: LevelRecord[] = []
  const torn = await readLevelLog(path, keep, (record) => records.push(record))
  return { records, torn }
}

/** The fact: `torn` with how many records are whole, or `refused` with the offset that is named. */
async function judged(bytes: Uint8Array): Promise<string> {
  try {
    const { records, torn } = await read(bytes)
    return torn ? `torn after ${records.length}` : `whole: ${records.length}`
  } catch (error) {
    if (!(error instanceof SteleError)) throw error
    expect(error.message).toMatch(/000003\.log: damaged at byte \d+: /)
    return `${error.code} at ${/byte (\d+)/.exec(error.message)![1]}`
  }
}

/** One fragment as the format has it, written down a second time. */
function fragment(type: number, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(7 + data.length)
  bytes.writeUInt16LE(data.length, 4)
  bytes[6] = type
  bytes.set(data, 7)
  bytes.writeUInt32LE(maskedCrc32c(bytes, 6), 0)
  return bytes
}

describe('CRC-32C', () => {
  test('makes the published values (RFC 3720 B.4), at any alignment', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43)
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e)
    const slab = Uint8Array.from({ length: 200 }, (_, i) => (i * 37) % 256)
    for (let begin = 0; begin < 20; begin++) {
      for (const length of [0, 1, 3, 15, 16, 17, 31, 64, 100]) {
        const copy = slab.slice(begin, begin + length)
        expect(crc32c(slab, begin, begin + length)).toBe(slow(copy))
        expect(crc32c(slab.subarray(begin), 0, length)).toBe(slow(copy))
      }
    }
  })

  test('finds the length that a masked checksum is of', () => {
    const bytes = Buffer.from('what was written, and more')
    expect(lengthWithCrc32c(bytes, maskedCrc32c(bytes, 0, 16))).toBe(16)
    expect(lengthWithCrc32c(bytes, 0x12345678)).toBeUndefined()
  })

  function slow(bytes: Uint8Array): number {
    let crc = -1
    for (const byte of bytes) {
      crc ^= byte
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    }
    return ~crc >>> 0
  }
})

describe('a log that LevelDB wrote', () => {
  test('is read as what was written', async () => {
    const { records, torn } = await read(LOG, 1000)
    expect(torn).toBeUndefined()
    expect(records.map(({ offset, length }) => [offset, length])).toEqual([
      [0, 22],
      [29, 26],
    ])
    expect(records[1]!.bytes.toString()).toContain('xxxxxxxxxx')
    expect((await read(LOG)).records[1]!.bytes).toHaveLength(12)
  })

  test('with any bit of it flipped is refused at the record that has it', async () => {
    for (let bit = 0; bit < LOG.length * 8; bit++) {
      const flipped = Buffer.from(LOG)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect([bit, await judged(flipped)]).toEqual([bit, `corrupt at ${bit < 29 * 8 ? 0 : 29}`])
    }
  })

  test('cut at any byte is torn there, unless it ends with a record', async () => {
    for (let size = 0; size <= LOG.length; size++) {
      const whole = size < 29 ? 0 : size < LOG.length ? 1 : 2
      const isWhole = [0, 29, LOG.length].includes(size)
      expect([size, await judged(LOG.subarray(0, size))]).toEqual([
        size,
        isWhole ? `whole: ${whole}` : `torn after ${whole}`,
      ])
    }
  })

  test('is torn by zeros up to its end, a sector of them at least; by less it is damaged', async () => {
    for (const size of [5, 29, 33, 50]) {
      const written = LOG.subarray(0, size)
      expect(await judged(Buffer.concat([written, Buffer.alloc(512)]))).toBe(
        `torn after ${size < 29 ? 0 : 1}`,
      )
      expect(await judged(Buffer.concat([written, Buffer.alloc(40_000)]))).toBe(
        `torn after ${size < 29 ? 0 : 1}`,
      )
      const more = Buffer.concat([written, Buffer.alloc(600), Buffer.from([1])])
      expect(await judged(more)).toBe(`corrupt at ${size < 29 ? 0 : 29}`)
    }
    expect(await judged(Buffer.concat([LOG, Buffer.alloc(100)]))).toBe(`corrupt at ${LOG.length}`)
  })
})

test('every single bit of a log of several blocks: refused, or padding that nothing reads', async () => {
  // A record over three blocks, one that leaves four bytes of padding, one that leaves room for an empty fragment.
  const big = Buffer.alloc(70_000, 'record ')
  const blocks = [
    fragment(2, big.subarray(0, 32_761)),
    fragment(3, big.subarray(32_761, 65_522)),
    fragment(4, big.subarray(65_522)),
    fragment(1, Buffer.alloc(32_768 - 2 * 7 - 4_478 - 4, 1)),
    Buffer.alloc(4),
    fragment(1, Buffer.alloc(32_768 - 2 * 7, 2)),
    fragment(2, Buffer.alloc(0)),
    fragment(4, Buffer.alloc(50, 3)),
    fragment(1, Buffer.alloc(20, 4)),
  ]
  const bytes = Buffer.concat(blocks)
  expect(await judged(bytes)).toBe('whole: 5')
  const padding = 3 * 32_768 - 4
  const headers = [
    0,
    32_768,
    65_536,
    padding - 32_758 + 4_478 + 7,
    padding + 4,
    bytes.length - 84,
    bytes.length - 27,
  ]
  const offsets = headers.flatMap((at) => Array.from({ length: 9 }, (_, i) => at + i))
  for (let at = 0; at < bytes.length; at += 2_503) offsets.push(at)
  for (let at = padding - 2; at < padding + 6; at++) offsets.push(at)
  for (let at = bytes.length - 92; at < bytes.length; at++) offsets.push(at)
  for (const at of new Set(offsets)) {
    for (let bit = 0; bit < 8; bit++) {
      bytes[at]! ^= 1 << bit
      const expected = at >= padding && at < padding + 4 ? /^whole: 5$/ : /^corrupt at \d+$/
      expect([at, bit, await judged(bytes)]).toEqual([at, bit, expect.stringMatching(expected)])
      bytes[at]! ^= 1 << bit
    }
  }
  for (let size = 0; size < bytes.length; size += 1_999) {
    expect(await judged(bytes.subarray(0, size))).toMatch(size === 0 ? /whole: 0/ : /^torn after \d$/)
  }
  // Between two blocks of one record.
  expect(await judged(bytes.subarray(0, 65_536))).toBe('torn after 0')
})

test.each([
  ['a record that begins within another', [fragment(2, Buffer.from('a')), fragment(1, Buffer.from('b'))]],
  ['an end without a beginning', [fragment(4, Buffer.from('a'))]],
  ['a type that nothing writes', [fragment(5, Buffer.from('a'))]],
  ['a length of another block', [Buffer.from('000000000000ff01', 'hex'), Buffer.alloc(40_000, 1)]],
])('%s is damage', async (_, fragments) => {
  expect(await judged(Buffer.concat(fragments))).toMatch(/^corrupt at/)
})

describe('a database', () => {
  /** Batches of random puts and deletions, and what LevelDB holds after them. */
  async function written(seed: number): Promise<{ folder: string; puts: number }> {
    const folder = join(testFolder(), 'database')
    const db = new Level(folder)
    await db.open()
    let state = seed
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    let puts = 0
    for (let i = 0; i < 40; i++) {
      const batch = db.batch()
      for (let n = random(5); n >= 0; n--) {
        puts++
        if (random(4) === 0) batch.del(`key ${random(50)}`)
        else batch.put(`key ${random(50)}`, 'v'.repeat(random(random(3) === 0 ? 60_000 : 200)))
      }
      await batch.write({ sync: true })
    }
    await db.close()
    return { folder, puts }
  }

  test.each([1, 2, 3, 4, 5, 6])(
    'of random writes (%i): every record is read, and goes on where the last one ended',
    async (seed) => {
      const { folder, puts } = await written(seed)
      const log = readdirSync(folder).find((name) => name.endsWith('.log'))!
      const { records, torn } = await read(readFileSync(join(folder, log)))
      expect([records.length, torn]).toEqual([40, undefined])
      const counts = records.map(({ bytes }) => Buffer.from(bytes).readUInt32LE(8))
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(puts)
      await expect(checkLevelFiles(folder)).resolves.toMatchObject({ torn: undefined })
      // Reopened, it is in tables, which the MANIFEST names.
      const db = new Level(folder)
      await db.open()
      await db.close()
      const { tables, logs } = await checkLevelFiles(folder)
      expect(tables.length).toBeGreaterThan(0)
      expect(readdirSync(folder).filter((name) => name.endsWith('.ldb'))).toHaveLength(tables.length)
      expect(logs).toHaveLength(1)
    },
  )

  test('of the golden MANIFEST consists of the table that it names', async () => {
    const folder = testFolder()
    writeFileSync(join(folder, 'CURRENT'), 'MANIFEST-000004\n')
    writeFileSync(join(folder, 'MANIFEST-000004'), MANIFEST)
    expect(await readLevelFiles(folder)).toEqual({
      manifest: 'MANIFEST-000004',
      firstLog: 6,
      lastWrite: 3,
      tables: [
        {
          number: 5,
          level: 0,
          bytes: 201,
          smallest: Buffer.from('a'),
          largest: Buffer.from('c'),
        },
      ],
    })
    await expect(checkLevelFiles(folder)).rejects.toThrow(/000005\.ldb: the database needs this file/)
    writeFileSync(join(folder, '000005.ldb'), '')
    await expect(checkLevelFiles(folder)).rejects.toThrow(/000006\.log: the database needs this file/)
    for (let bit = 0; bit < MANIFEST.length * 8; bit++) {
      const flipped = Buffer.from(MANIFEST)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      writeFileSync(join(folder, 'MANIFEST-000004'), flipped)
      await expect(readLevelFiles(folder)).rejects.toThrow(/MANIFEST-000004: damaged at byte (0|35)/)
    }
    for (const text of ['', 'MANIFEST-000004', 'MANIFEST-000005\n', '../x\n']) {
      writeFileSync(join(folder, 'CURRENT'), text)
      await expect(readLevelFiles(folder)).rejects.toMatchObject({ code: 'corrupt' })
    }
  })

  test('whose writes do not follow each other is refused, within a file and from one to the next', async () => {
    const folder = testFolder()
    writeFileSync(join(folder, 'CURRENT'), 'MANIFEST-000004\n')
    writeFileSync(join(folder, 'MANIFEST-000004'), MANIFEST)
    writeFileSync(join(folder, '000005.ldb'), '')
    const [first, second] = [LOG.subarray(0, 29), LOG.subarray(29)]
    const put = (name: string, ...parts: Buffer[]): void =>
      writeFileSync(join(folder, name), Buffer.concat(parts))
    put('000006.log', first, second)
    expect((await checkLevelFiles(folder)).torn).toBeUndefined()
    put('000006.log', first, first)
    await expect(checkLevelFiles(folder)).rejects.toThrow(/000006\.log: damaged at byte 29: expected .*3/)
    put('000006.log', first)
    put('000008.log', second)
    expect((await checkLevelFiles(folder)).torn).toBeUndefined()
    put('000008.log', first)
    await expect(checkLevelFiles(folder)).rejects.toThrow(/000008\.log: damaged at byte 0/)
    // A torn tail is one only where nothing follows it: an empty file is what an opening that was cut short leaves.
    put('000006.log', first, second.subarray(0, 20))
    put('000008.log')
    expect((await checkLevelFiles(folder)).torn).toMatchObject({ offset: 29 })
    put('000008.log', second)
    await expect(checkLevelFiles(folder)).rejects.toThrow(
      /000006\.log: damaged at byte 29: .*000008\.log goes on/,
    )
  })
})
