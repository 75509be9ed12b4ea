import { equalBytes } from '../bytes/bytes.ts'
import { hasCode, SteleError } from '../errors.ts'
import { type Hash, HASH_BYTES, hashLeafInto } from '../merkle/hash.ts'
import type { Checkpoint, OpenedCheckpoint } from '../note/checkpoint.ts'
import { parseVerifierKey } from '../note/key.ts'
import { openTrusted } from '../policy/evaluate.ts'
import { decodeBundle } from '../tile/bundle.ts'
import { edgeTile, EMPTY_TREE, growTree, type Tree } from '../tile/grow.ts'
import { TileHashes } from '../tile/hashes.ts'
import { hashesAt, widthAt } from '../tile/layout.ts'
import { formatBundlePath, TILE_WIDTH } from '../tile/path.ts'
import {
  type AuditFinding,
  type AuditOptions,
  entryDiffers,
  firstDifference,
  hashAt,
  judgeTile,
  malformedBundle,
  missing,
  rootDiffers,
} from './audit-finding.ts'
import type { LogFiles } from './http-files.ts'
import { inOrder } from './ordered.ts'
import { checkHasBundles } from './verified-entries.ts'

/** What an audit found, and what it looked at. */
export interface AuditReport {
  readonly verdict: 'intact' | 'damaged'
  /** Where the audit stopped, if the log is damaged. */
  readonly finding: AuditFinding | undefined
  readonly checkpoint: Checkpoint
  readonly checked: {
    /** Entries [begin, end). */
    readonly entries: { readonly begin: number; readonly end: number }
    readonly tiles: number
    readonly secondOpinions: number
    /** True if the entries make the root hash that was signed. */
    readonly root: boolean
  }
  /** A sentence for each thing that was left out. */
  readonly notChecked: readonly string[]
  /** For an intact log: hand it in as `from` next time. */
  readonly tree: Tree | undefined
}

/**
 * Recomputes a log from its entries and compares everything that is stored: entries, tiles of every level, the signed
 * head. Memory is bounded, independent of the log's size.
 *
 * @returns after the first finding, since nothing after it can be checked
 * @throws SteleError as `openTrusted`; `foreign_format` for a static-ct log; `rolled_back` for a log smaller than
 *   `from`; what the files and the second opinion throw
 */
export async function auditLog(files: LogFiles, options: AuditOptions): Promise<AuditReport> {
  const verifiers = options.verifierKeys.map((key) => (typeof key === 'string' ? parseVerifierKey(key) : key))
  const { origin, policy, ofMirror } = options
  checkHasBundles({ origin, verifiers })
  const opened = openTrusted(await files.checkpoint(), { origin, verifiers, policy, ofMirror })
  const begin = options.from?.size ?? 0
  if (opened.checkpoint.size < begin) {
    throw new SteleError(
      'rolled_back',
      `log ${options.origin}: its head is of size ${opened.checkpoint.size}, but ${begin} entries were audited before`,
    )
  }
  const walk = new AuditWalk(files, opened.checkpoint, options)
  const finding = await walk.run()
  return {
    verdict: finding ? 'damaged' : 'intact',
    finding,
    checkpoint: opened.checkpoint,
    checked: {
      entries: { begin, end: walk.tree.size },
      tiles: walk.tiles,
      secondOpinions: walk.secondOpinions,
      root: !finding,
    },
    notChecked: notChecked(options, opened, finding ? walk.tree.size : undefined),
    tree: finding ? undefined : walk.tree,
  }
}

function notChecked(
  { from, partialTiles, secondOpinion }: AuditOptions,
  { checkpoint, note }: OpenedCheckpoint,
  stoppedAt: number | undefined,
): string[] {
  const rest = checkpoint.size % TILE_WIDTH
  const list: string[] = []
  if (from && from.size > 0) list.push(`entries 0 to ${from.size - 1} and their tiles: audited before`)
  if (stoppedAt !== undefined)
    list.push(`what lies behind entry ${stoppedAt}: the audit ended at the finding`)
  if (partialTiles === 'derived') list.push('partial tiles: this source does not store them')
  if (secondOpinion && rest > 0) {
    list.push(`a second opinion on the last ${rest} entries: their tile is not full`)
  }
  if (note.unverified.length > 0) list.push(`${note.unverified.length} signature lines by keys not given`)
  return list
}

// Read ahead: enough to hide the way to a server; each bundle is up to 16 MiB, usually far less.
const PARTS_AT_A_TIME = 8

/** One bundle and, unless it is not stored, the level-0 tile above it. */
interface Part {
  readonly index: number
  readonly width: number
  readonly bundle: Uint8Array | undefined
  readonly tile: Uint8Array | undefined
}

/** One walk from the first entry to the head. Owner of the tree as it follows from the entries: it only grows. */
export class AuditWalk {
  readonly #files: LogFiles
  readonly #head: Checkpoint
  readonly #options: AuditOptions
  readonly #from: Tree
  #tree: Tree
  #tiles = 0
  #secondOpinions = 0

  constructor(files: LogFiles, head: Checkpoint, options: AuditOptions) {
    this.#files = files
    this.#head = head
    this.#options = options
    this.#from = options.from ?? EMPTY_TREE
    this.#tree = this.#from
  }

  /** What the entries read so far make. */
  get tree(): Tree {
    return this.#tree
  }

  /** Tiles that were compared and found good. */
  get tiles(): number {
    return this.#tiles
  }

  get secondOpinions(): number {
    return this.#secondOpinions
  }

  /** @returns the first thing that is missing or wrong */
  async run(): Promise<AuditFinding | undefined> {
    const first = Math.floor(this.#from.size / TILE_WIDTH)
    const parts = inOrder(partsFrom(first, this.#from.size, this.#head.size), PARTS_AT_A_TIME, (part) =>
      this.#read(part),
    )
    for await (const part of parts) {
      const finding = await this.#checkPart(part)
      if (finding) return finding
      const { size } = this.#head
      this.#options.onProgress?.({ entries: this.#tree.size, size, tree: this.#tree })
    }
    return (await this.#checkEdge()) ?? this.#checkRoot()
  }

  async #read({ index, width }: { index: number; width: number }): Promise<Part> {
    const [bundle, tile] = await Promise.all([
      this.#files.bundle(index, width),
      this.#isStored(width) ? this.#files.tile(0, index, width) : undefined,
    ])
    return { index, width, bundle, tile }
  }

  async #checkPart({ index, width, bundle, tile }: Part): Promise<AuditFinding | undefined> {
    if (bundle === undefined) return missing(formatBundlePath(index, width))
    const leaves = leafHashes(bundle, width)
    if (typeof leaves === 'string') return malformedBundle(index, width, leaves)
    const finding =
      (await this.#checkLeaves(index, width, leaves, tile)) ?? this.#checkAuditedBefore(index, leaves)
    if (finding) return finding
    if (width === TILE_WIDTH) await this.#askSecondOpinion(index, leaves)
    return this.#grow(bundle, leaves, this.#tree.size - index * TILE_WIDTH)
  }

  async #checkLeaves(
    index: number,
    width: number,
    leaves: Uint8Array,
    tile: Uint8Array | undefined,
  ): Promise<AuditFinding | undefined> {
    if (!this.#isStored(width)) return undefined
    const finding = judgeTile({ level: 0, index, width }, tile, leaves)
    if (finding?.kind === 'tile_differs') {
      const { position, expected, found } = finding
      return entryDiffers(
        index * TILE_WIDTH + position,
        expected,
        found,
        await this.#damagedOf(index, leaves, tile!),
      )
    }
    if (!finding) this.#tiles++
    return finding
  }

  /** In the bundle where an earlier audit ended, its leaves come first: they may not have changed. */
  #checkAuditedBefore(index: number, leaves: Uint8Array): AuditFinding | undefined {
    const before = edgeTile(this.#tree, 0)
    if (this.#tree.size === index * TILE_WIDTH || before.length === 0) return undefined
    const position = firstDifference(before, leaves.subarray(0, before.length))
    if (position === undefined) return undefined
    return entryDiffers(
      index * TILE_WIDTH + position,
      hashAt(leaves, position),
      hashAt(before, position),
      'entry',
    )
  }

  /** @param known leaves at the beginning of the bundle that the tree has already */
  async #grow(bundle: Uint8Array, leaves: Uint8Array, known: number): Promise<AuditFinding | undefined> {
    const from = this.#tree.size
    const { tree, tiles } = growTree(this.#tree, leaves.subarray(known * HASH_BYTES))
    this.#tree = tree
    for (const { level, index, hashes } of tiles) {
      // Level 0 was compared with the entries already, position by position.
      const finding = level > 0 ? await this.#checkTile(level, index, hashes) : undefined
      if (finding) return finding
    }
    await this.#options.onStretch?.({ from, entries: decodeBundle(bundle).slice(known), tiles })
    return undefined
  }

  async #checkEdge(): Promise<AuditFinding | undefined> {
    if (!this.#isStored(1)) return undefined
    // Level 0 was compared together with its bundle, unless there was no bundle to read.
    const lowest = this.#tree.size > this.#from.size ? 1 : 0
    for (let level = lowest; hashesAt(level, this.#tree.size) > 0; level++) {
      const hashes = edgeTile(this.#tree, level)
      if (hashes.length === 0) continue
      const finding = await this.#checkTile(
        level,
        Math.floor(this.#tree.size / TILE_WIDTH ** (level + 1)),
        hashes,
      )
      if (finding) return finding
    }
    return undefined
  }

  #checkRoot(): AuditFinding | undefined {
    const { size, root } = this.#head
    return equalBytes(root, this.#tree.root) ? undefined : rootDiffers(size, root, this.#tree.root)
  }

  async #checkTile(level: number, index: number, expected: Uint8Array): Promise<AuditFinding | undefined> {
    const tile = { level, index, width: expected.length / HASH_BYTES }
    const finding = judgeTile(tile, await this.#files.tile(level, index, tile.width), expected)
    if (!finding) this.#tiles++
    return finding
  }

  /**
   * Which of two contradicting parts is damaged. The level above was made when the tile was full, so it shows the right
   * one.
   */
  async #damagedOf(
    index: number,
    byEntries: Uint8Array,
    tile: Uint8Array,
  ): Promise<'entry' | 'tile' | 'unknown'> {
    const full = byEntries.length === TILE_WIDTH * HASH_BYTES
    const width = widthAt(1, Math.floor(index / TILE_WIDTH), this.#head.size)
    if (!full || !this.#isStored(width)) return 'unknown'
    const above = await this.#files.tile(1, Math.floor(index / TILE_WIDTH), width)
    if (above?.length !== width * HASH_BYTES) return 'unknown'
    const says = hashAt(above, index % TILE_WIDTH)
    if (equalBytes(rootOf(byEntries), says)) return 'tile'
    return equalBytes(rootOf(tile), says) ? 'entry' : 'unknown'
  }

  async #askSecondOpinion(index: number, leaves: Uint8Array): Promise<void> {
    if (!this.#options.secondOpinion) return
    await this.#options.secondOpinion(index, leaves, rootOf(leaves))
    this.#secondOpinions++
  }

  #isStored(width: number): boolean {
    return width === TILE_WIDTH || this.#options.partialTiles !== 'derived'
  }
}

function* partsFrom(first: number, begin: number, size: number): Generator<{ index: number; width: number }> {
  if (begin === size) return
  for (let index = first; index * TILE_WIDTH < size; index++)
    yield { index, width: Math.min(TILE_WIDTH, size - index * TILE_WIDTH) }
}

/** The leaf hashes of a bundle, or why it is none. */
function leafHashes(bundle: Uint8Array, width: number): Uint8Array | string {
  try {
    const slab = new Uint8Array(width * HASH_BYTES)
    decodeBundle(bundle, width).forEach((entry, i) => hashLeafInto(slab, i * HASH_BYTES, entry))
    return slab
  } catch (error) {
    if (hasCode(error, 'malformed')) return error.message
    throw error
  }
}

function rootOf(fullTile: Uint8Array): Hash {
  return new TileHashes(fullTile).node(8, 0)
}
