/*
 * CRC-32C (Castagnoli), the checksum of LevelDB's files; node:zlib has another polynomial. Processes sixteen bytes per
 * step, read as four words, each byte through its own table: about 1 GB/s, four times the speed of one byte per step.
 */
const POLYNOMIAL = 0x82f63b78
const TABLES: readonly Int32Array[] = makeTables()
const [T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15] = TABLES as Tables

type Tables = readonly [
  ...[Int32Array, Int32Array, Int32Array, Int32Array],
  ...[Int32Array, Int32Array, Int32Array, Int32Array],
  ...[Int32Array, Int32Array, Int32Array, Int32Array],
  ...[Int32Array, Int32Array, Int32Array, Int32Array],
]

/** Words are read in the machine's order, and the step below takes the lowest byte first. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

const MASK_DELTA = 0xa282ead8
const NO_WORDS = new Int32Array(0)

/** @returns the checksum of bytes [begin, end), 0 to 2^32 - 1 */
export function crc32c(bytes: Uint8Array, begin = 0, end = bytes.length): number {
  let crc = -1
  let at = begin
  const aligned = at + (-(bytes.byteOffset + at) & 3)
  for (const stop = Math.min(aligned, end); at < stop; at++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]!) & 255]!
  const steps = IS_LITTLE_ENDIAN ? Math.max(0, (end - at) >> 4) : 0
  const words = steps > 0 ? new Int32Array(bytes.buffer, bytes.byteOffset + at, steps << 2) : NO_WORDS
  for (let i = 0; i < words.length; i += 4) {
    const a = crc ^ words[i]!
    const b = words[i + 1]!
    const c = words[i + 2]!
    const d = words[i + 3]!
    crc =
      T15[a & 255]! ^
      T14[(a >>> 8) & 255]! ^
      T13[(a >>> 16) & 255]! ^
      T12[a >>> 24]! ^
      T11[b & 255]! ^
      T10[(b >>> 8) & 255]! ^
      T9[(b >>> 16) & 255]! ^
      T8[b >>> 24]! ^
      T7[c & 255]! ^
      T6[(c >>> 8) & 255]! ^
      T5[(c >>> 16) & 255]! ^
      T4[c >>> 24]! ^
      T3[d & 255]! ^
      T2[(d >>> 8) & 255]! ^
      T1[(d >>> 16) & 255]! ^
      T0[d >>> 24]!
  }
  for (at += steps << 4; at < end; at++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]!) & 255]!
  return ~crc >>> 0
}

/** A checksum as LevelDB stores it: rotated and offset, because a CRC over bytes that contain CRCs would be weak. */
export function maskedCrc32c(bytes: Uint8Array, begin?: number, end?: number): number {
  const crc = crc32c(bytes, begin, end)
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0
}

/** The length of the shortest prefix, at least one byte, with this masked checksum; undefined if there is none. */
export function lengthWithCrc32c(bytes: Uint8Array, masked: number): number | undefined {
  const rotated = (masked - MASK_DELTA) >>> 0
  const wanted = ~((rotated << 15) | (rotated >>> 17))
  let crc = -1
  for (let at = 0; at < bytes.length; at++) {
    crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]!) & 255]!
    if (crc === wanted) return at + 1
  }
  return undefined
}

function makeTables(): Int32Array[] {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    return crc
  })
  const tables = [first]
  while (tables.length < 16) tables.push(tables.at(-1)!.map((crc) => (crc >>> 8) ^ first[crc & 255]!))
  return tables
}
