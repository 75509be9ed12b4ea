import { rm } from 'node:fs/promises'
import { HASH_BYTES, leafHash, type Hash } from '../../merkle/hash.ts'
import { concatBytes } from '../../bytes/bytes.ts'
import { checkIndexed, writeLeaves } from '../../log/leaf-index.ts'
import { LevelLeafIndex } from '../../storage/leaf-index.ts'
import type { LogStore } from '../../storage/store.ts'
import type { StoredLog } from '../files/stored-log.ts'
import type { Terminal } from '../output/terminal.ts'
import { counted, formatCount } from '../output/units.ts'
import type { Findings } from './report.ts'

const FULL = 256

/** Looks every leaf up. */
export async function checkLeafIndex(
  findings: Findings,
  terminal: Terminal,
  folder: string,
  log: StoredLog,
): Promise<void> {
  const { store, unverifiedHead } = log
  const index = await LevelLeafIndex.open(folder)
  const bar = terminal.progress('leaf index', unverifiedHead.size)
  let missing = 0
  let first: number | undefined
  try {
    const { faults: damaged } = await index.checkFiles(undefined, async () => {})
    findings.warnings.push(...damaged.map(({ message }) => message))
    for await (const { begin, slab } of leavesOf(store, unverifiedHead.size)) {
      const faults = await checkIndexed(index, store, leavesIn(begin, slab))
      missing += faults.length
      first ??= faults[0]?.index
      bar.at(begin + slab.length / HASH_BYTES)
    }
  } finally {
    bar.end()
    await index.close()
  }
  const { size } = unverifiedHead
  findings.checked.push(`the leaf index: ${formatCount(Math.min(size, index.cursor) - missing)} leaves`)
  if (index.cursor < size)
    findings.notChecked.push(`leaves from ${index.cursor} on in the leaf index: not written yet`)
  if (missing === 0) return
  findings.warnings.push(
    `leaf index: ${counted(missing, 'leaf is', 'leaves are')} not found, the first one ${first}. Nothing is lost, but look-ups ` +
      `miss them and the same bytes would be logged again: run "stele fsck --rebuild-index"`,
  )
}

/** Makes the leaf index anew from the tree. */
export async function rebuildLeafIndex(terminal: Terminal, folder: string, log: StoredLog): Promise<void> {
  const { store, unverifiedHead } = log
  await rm(folder, { recursive: true, force: true })
  const index = await LevelLeafIndex.open(folder)
  const bar = terminal.progress('rebuilding', unverifiedHead.size)
  try {
    for await (const { begin, slab } of leavesOf(store, unverifiedHead.size)) {
      const leaves = leavesIn(begin, slab)
      await writeLeaves(index, leaves, true)
      bar.at(begin + leaves.length)
    }
    await index.moveCursor(unverifiedHead.size)
  } finally {
    bar.end()
    await index.close()
  }
}

/** Leaf hashes as the stored tiles have them, the rest from the newest entries. */
async function* leavesOf(store: LogStore, size: number): AsyncGenerator<{ begin: number; slab: Uint8Array }> {
  for (let begin = 0; begin < size; begin += FULL) {
    const slab = begin + FULL <= size ? await fullTile(store, begin / FULL) : undefined
    const entries = slab ? [] : await store.readEntries(begin, Math.min(begin + FULL, size))
    yield { begin, slab: slab ?? concatBytes(...entries.map(leafHash)) }
  }
}

async function fullTile(store: LogStore, index: number): Promise<Uint8Array | undefined> {
  return (await store.readTiles([{ level: 0, index }]))[0]
}

function leavesIn(begin: number, slab: Uint8Array): { hash: Hash; index: number }[] {
  return Array.from({ length: slab.length / HASH_BYTES }, (_, i) => ({
    hash: slab.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES) as Hash,
    index: begin + i,
  }))
}
