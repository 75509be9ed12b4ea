import { toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import type { Clock } from '../../src/client/clock.ts'
import type { Fetch } from '../../src/client/wire.ts'
import { HASH_BYTES, hashLeafInto, leafHash } from '../../src/merkle/hash.ts'
import { formatCheckpoint } from '../../src/note/checkpoint.ts'
import { formatVerifierKey, generateSigningKey } from '../../src/note/key.ts'
import { signNote } from '../../src/note/note.ts'
import { formatProofFile } from '../../src/note/proof-file.ts'
import { decodeBundle, encodeBundle } from '../../src/tile/bundle.ts'
import { edgeTile, EMPTY_TREE, growTree, type FullTile, type Tree } from '../../src/tile/grow.ts'
import { TileHashes } from '../../src/tile/hashes.ts'
import { formatBundlePath, formatTilePath, parseTilePath, type TileId } from '../../src/tile/path.ts'
import { proveConsistency, proveInclusion, type TileSource } from '../../src/tile/prove.ts'

export const ORIGIN = 'log.example/logs/fake'
export const URL_PREFIX = 'https://log.example/logs/fake/'
export const SEED = Uint8Array.from({ length: 32 }, (_, i) => i)
export const KEY = generateSigningKey(ORIGIN, SEED)
export const VKEY = formatVerifierKey(KEY.verifier)

/** What a test makes of a request before the log sees it; undefined lets it through. */
export type Lie = (
  path: string,
  init: RequestInit,
) => Response | Uint8Array | string | undefined | Promise<Response | Uint8Array | string | undefined>

/** A log in memory behind a `fetch` of its own. It serves exactly what a log of its size may serve. */
export class FakeLog {
  origin = ORIGIN
  key = KEY
  tree: Tree = EMPTY_TREE
  entries: Uint8Array[] = []
  note = ''
  allowDuplicates = false
  /** False for a log that is only files. */
  api = true
  /** True for a log whose leaf hashes and entries are not for this client's key: a writer's. */
  private = false
  /** False for a log that drops partial files. */
  partials = true
  /** Paths asked for, in order, with the method in front where it is not GET. */
  asked: string[] = []
  lie: Lie = () => undefined
  readonly #tiles = new Map<string, Uint8Array>()
  #writing: Promise<unknown> = Promise.resolve()

  /** A log with `entry 0`, `entry 1`, …; `spoil` gives another history. */
  static async create(size: number, spoil: (text: string) => string = (text) => text): Promise<FakeLog> {
    const log = new FakeLog()
    await log.add(texts(0, size, spoil))
    return log
  }

  async add(texts: readonly (string | Uint8Array)[]): Promise<void> {
    const fresh = texts.map((text) => (typeof text === 'string' ? encodeUtf8(text) : text))
    const slab = new Uint8Array(fresh.length * HASH_BYTES)
    fresh.forEach((entry, i) => hashLeafInto(slab, i * HASH_BYTES, entry))
    const { tree, tiles } = growTree(this.tree, slab)
    tiles.forEach((tile: FullTile) => this.#tiles.set(formatTilePath({ ...tile, width: 256 }), tile.hashes))
    for (const entry of fresh) this.entries.push(entry)
    this.tree = tree
    this.note = await this.sign()
  }

  /** Its head, or whatever a test wants signed. */
  sign(head: { origin?: string; size?: number; root?: Tree['root'] } = {}): Promise<string> {
    const { size, root } = this.tree
    return signNote(formatCheckpoint({ origin: this.origin, size, root, ...head }), [this.key])
  }

  /** The bytes of a file, undefined if there is none. */
  file(path: string): Uint8Array | undefined {
    if (path === 'checkpoint') return encodeUtf8(this.note)
    if (!path.startsWith('tile/')) return undefined
    const tile = parseTilePath(path)
    if (tile.width < 256 && !this.partials && this.#isFull(tile)) return undefined
    return tile.kind === 'tile' ? this.tile(tile) : this.bundle(tile.index, tile.width)
  }

  tile({ level, index, width }: TileId): Uint8Array | undefined {
    if (index * 256 + width > this.tree.size / 256 ** level) return undefined
    const full = this.#tiles.get(formatTilePath({ level, index, width: 256 }))
    return (full ?? edgeTile(this.tree, level)).slice(0, width * HASH_BYTES)
  }

  bundle(index: number, width: number): Uint8Array | undefined {
    const end = index * 256 + width
    return end > this.tree.size ? undefined : encodeBundle(this.entries.slice(index * 256, end))
  }

  /** Paths of every file that a log of this size must have. */
  paths(): string[] {
    const { size } = this.tree
    const all = ['checkpoint']
    for (let level = 0; 256 ** level <= size; level++) {
      for (let index = 0, left = Math.floor(size / 256 ** level); left > 0; index++, left -= 256) {
        all.push(formatTilePath({ level, index, width: Math.min(256, left) }))
        if (level === 0) all.push(formatBundlePath(index, Math.min(256, left)))
      }
    }
    return all
  }

  readonly fetch: Fetch = async (url, init) => {
    const path = url.replace(URL_PREFIX, '')
    this.asked.push(init.method === 'POST' ? `POST ${path}` : path)
    const lie = await this.lie(path, init)
    if (lie !== undefined) return lie instanceof Response ? lie : new Response(lie.slice())
    if (this.private && /^(tile\/(0|entries)\/|v1\/leaves\/)/.test(path)) {
      return problem(403, 'forbidden', 'this key may not read the log')
    }
    return (this.api ? await this.#answer(path, init) : undefined) ?? this.#serve(path)
  }

  #serve(path: string): Response {
    const bytes = this.file(path)
    return bytes ? new Response(bytes.slice()) : problem(404, 'not_found', `${path}: no such file`)
  }

  async #answer(path: string, init: RequestInit): Promise<Response | undefined> {
    if (path.startsWith('https://log.example/v1/logs')) {
      return Response.json({ logs: [{ origin: this.origin, allowDuplicates: this.allowDuplicates }] })
    }
    if (init.method === 'POST') return this.#inTurn(path, init.body as Uint8Array)
    const sizes = /^v1\/proofs\/consistency\?old=(\d+)&new=(\d+)$/.exec(path)
    if (sizes) {
      const hashes = await proveConsistency(this.#source, Number(sizes[1]), Number(sizes[2]))
      return Response.json({ path: hashes.map(toHex) })
    }
    const hash = /^v1\/leaves\/(.*)$/.exec(path)?.[1]
    const index = hash === undefined ? -1 : this.entries.findIndex((entry) => toHex(leafHash(entry)) === hash)
    return index < 0 ? undefined : Response.json({ index, leafHash: hash, treeSize: this.tree.size })
  }

  /** One write at a time, as a log does it. */
  #inTurn(path: string, body: Uint8Array): Promise<Response> {
    const answer = this.#writing.then(async () =>
      Response.json(
        await (path.startsWith('v1/entries?')
          ? this.#store(body)
          : this.#storeBatch(body, path.includes('proof=true'))),
      ),
    )
    this.#writing = answer
    return answer
  }

  async #store(entry: Uint8Array): Promise<object> {
    const known = this.#find(entry)
    if (known < 0) await this.add([entry])
    const index = known < 0 ? this.tree.size - 1 : known
    const answer = {
      index,
      leafHash: toHex(leafHash(entry)),
      treeSize: this.tree.size,
      duplicate: known >= 0,
    }
    return { ...answer, proof: await this.prove(index) }
  }

  async #storeBatch(body: Uint8Array, withProofs: boolean): Promise<object> {
    const batch = decodeBundle(body)
    const begin = this.tree.size
    // Each is signed when it is added alone.
    if (this.allowDuplicates) await this.add(batch)
    const duplicates: { position: number; index: number }[] = []
    const indexes: number[] = []
    for (const [position, entry] of batch.entries()) {
      const index = this.allowDuplicates ? begin + position : this.#find(entry)
      indexes.push(index < 0 ? this.tree.size : index)
      if (index < 0) await this.add([entry])
      else if (!this.allowDuplicates) duplicates.push({ position, index })
    }
    const { size } = this.tree
    const answer = { begin, end: size, treeSize: size, count: batch.length, duplicates }
    if (!withProofs) return answer
    const paths = await Promise.all(indexes.map((index) => proveInclusion(this.#source, index, size)))
    return { ...answer, checkpoint: this.note, proofs: paths.map((path) => path.map(toHex)) }
  }

  async prove(index: number): Promise<string> {
    const path = await proveInclusion(this.#source, index, this.tree.size)
    return formatProofFile({ index, path, checkpoint: this.note })
  }

  get #source(): TileSource {
    const read = (tiles: readonly TileId[]): TileHashes[] =>
      tiles.map((tile) => new TileHashes(this.tile(tile)!))
    return { readTiles: (tiles) => Promise.resolve(read(tiles)) }
  }

  #find(entry: Uint8Array): number {
    if (this.allowDuplicates) return -1
    const hash = toHex(leafHash(entry))
    return this.entries.findIndex((other) => toHex(leafHash(other)) === hash)
  }

  #isFull({ level, index }: TileId): boolean {
    return (index + 1) * 256 ** (level + 1) <= this.tree.size
  }
}

export function texts(
  begin: number,
  end: number,
  spoil: (text: string) => string = (text) => text,
): string[] {
  return Array.from({ length: end - begin }, (_, i) => spoil(`entry ${begin + i}`))
}

/** A refusal as the server words it. */
export function problem(
  status: number,
  code: string,
  detail: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json(
    { type: 'about:blank', title: 'No', status, detail, code },
    { status, headers: { 'content-type': 'application/problem+json', ...headers } },
  )
}

/** Time that passes only while somebody sleeps. */
export class FakeClock implements Clock {
  ms = 1_700_000_000_000
  /** What was slept, in order. */
  naps: number[] = []
  /** What chance gives: 1 for the longest pauses. */
  chance = 1

  nowMs = (): number => this.ms
  random = (): number => this.chance

  sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    signal?.throwIfAborted()
    this.naps.push(ms)
    this.ms += ms
    // Lets what waits for the event loop happen, as time passing would.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** All that an iteration gives. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

/** A copy with one bit of one byte turned round. */
export function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice()
  copy[at]! ^= 1
  return copy
}
