import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createHash } from 'node:crypto'

/** Entries that LevelDB cannot compress, so that its table files hold them as they are. */
export function incompressible(begin: number, end: number): Uint8Array[] {
  return Array.from({ length: end - begin }, (_, i) => {
    return createHash('shake256', { outputLength: ENTRY_BYTES })
      .update(`${begin + i}`)
      .digest()
  })
}

const ENTRY_BYTES = 1000
/** The same as a table file has it: seven bits a byte, the lowest first. */
const ENTRY_BYTES_VARINT = [0xe8, 0x07]
const KEY_BYTES = 9
/** What LevelDB puts behind every key. */
const TRAILER_BYTES = 8

/**
 * Damages the keys at which LevelDB begins to search a block, of all blocks that hold these entries: they are shorter
 * afterwards than any key can be. LevelDB states that as a fact and ends the process when it is not so.
 *
 * @param range entries [begin, end), some tens of them at least
 * @returns undoes it
 */
export function makeDeadly(database: string, [begin, end]: readonly [number, number]): () => void {
  const undo: (() => void)[] = []
  for (const name of readdirSync(database).filter((file) => file.endsWith('.ldb'))) {
    const path = join(database, name)
    const good = readFileSync(path)
    const bytes = Buffer.from(good)
    for (let index = begin; index < end; index++) {
      const at = bytes.indexOf(headerOf(index))
      if (at >= 0) bytes[at + 1] = 3
    }
    if (bytes.equals(good)) continue
    writeFileSync(path, bytes)
    undo.push(() => writeFileSync(path, good))
  }
  if (undo.length === 0) throw new Error(`no block begins within entries ${begin} to ${end - 1}`)
  return () => undo.forEach((put) => put())
}

/** How an entry stands in a block that shares no byte of its key with the one before. */
function headerOf(index: number): Buffer {
  const header = Buffer.alloc(4 + KEY_BYTES)
  header.set([0, KEY_BYTES + TRAILER_BYTES, ...ENTRY_BYTES_VARINT])
  header.writeBigUInt64BE(BigInt(index), 4)
  header[4 + 8] = 1
  return header
}
