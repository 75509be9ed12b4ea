import assert from 'node:assert/strict'
import { parseHex } from '../../src/bytes/hex.ts'
import { verifyProofFile } from '../../src/client/verify.ts'
import { verifyConsistency, verifyInclusion } from '../../src/merkle/verify.ts'
import { openCheckpoint, type Checkpoint } from '../../src/note/checkpoint.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { parseProofFile } from '../../src/note/proof-file.ts'
import { decodeBundle } from '../../src/tile/bundle.ts'
import { formatBundlePath, formatTilePath } from '../../src/tile/path.ts'
import { Connection, eachOver } from './connection.ts'
import type { Ledger, Receipt } from './ledger.ts'
import { Twin } from './twin.ts'

/** Which log is examined, and who may sign for it. */
export interface LogIdentity {
  readonly origin: string
  readonly verifierKey: string
}

/** What was checked so far. */
export interface Tally {
  entries: number
  receipts: number
  inclusionProofs: number
  heads: number
  tiles: number
}

/**
 * Checks over HTTP that a log keeps its word: everything it ever acknowledged is where it said, under a head that it
 * signs and that extends every head it signed before, and nothing is in it that nobody sent. An examiner remembers
 * what it has seen, and goes on from there after a restart of the server; a new one sees everything again.
 */
export class Examiner {
  readonly tally: Tally = { entries: 0, receipts: 0, inclusionProofs: 0, heads: 0, tiles: 0 }
  readonly twin = new Twin()
  readonly #log: LogIdentity
  readonly #ledger: Ledger
  readonly #notes = new Set<string>()
  #receipts = 0

  constructor(log: LogIdentity, ledger: Ledger) {
    this.#log = log
    this.#ledger = ledger
  }

  /** Examines all that is new since the last time. @param url prefix of the log */
  async examine(url: string): Promise<Checkpoint> {
    const connection = new Connection(url)
    const note = String((await connection.ask('checkpoint')).body)
    connection.close()
    const head = this.#open(note)
    this.#ledger.notes.add(note)
    const known = this.twin.size
    await this.#readEntries(url, head)
    await this.#checkTiles(url, known)
    await this.#checkReceipts(url, head)
    await this.#checkHeads(url, head)
    return head
  }

  #open(note: string): Checkpoint {
    const { origin, verifierKey } = this.#log
    return openCheckpoint(note, { origin, verifiers: [parseVerifierKey(verifierKey)] }).checkpoint
  }

  /** Nothing was invented, nothing is there twice, and the entries make the root hash that was signed. */
  async #readEntries(url: string, head: Checkpoint): Promise<void> {
    const { twin } = this
    assert.ok(head.size >= twin.size, `the tree size went back from ${twin.size} to ${head.size}`)
    const connection = new Connection(url)
    while (twin.size < head.size) {
      const bundle = Math.floor(twin.size / 256)
      const width = Math.min(256, head.size - bundle * 256)
      const answer = await connection.ask(formatBundlePath(bundle, width))
      assert.equal(answer.status, 200)
      const entries = decodeBundle(answer.body, width).map((entry) => Buffer.from(entry).toString('latin1'))
      const seen = twin.entries.slice(bundle * 256)
      // Compared as a whole: a difference in an entry of 64 KiB is nothing to print.
      assert.ok(
        seen.every((entry, i) => entry === entries[i]),
        `bundle ${bundle}: an entry has changed`,
      )
      for (const entry of entries.slice(seen.length)) {
        if (!this.#ledger.mayHold(entry)) {
          throw new Error(
            `index ${twin.size} holds what nobody sent, or was told is not logged: ${entry.slice(0, 60)}`,
          )
        }
        twin.append(entry)
        this.tally.entries++
      }
    }
    connection.close()
    assert.deepEqual(Buffer.from(twin.root(head.size)), Buffer.from(head.root))
  }

  async #checkTiles(url: string, known: number): Promise<void> {
    await eachOver(url, this.twin.tiles(known), async (connection, tile) => {
      const answer = await connection.ask(formatTilePath(tile))
      assert.equal(answer.status, 200)
      assert.ok(answer.body.equals(this.twin.tile(tile)), `${formatTilePath(tile)} differs from the entries`)
      this.tally.tiles++
    })
  }

  async #checkReceipts(url: string, head: Checkpoint): Promise<void> {
    const receipts = this.#ledger.receipts.slice(this.#receipts)
    this.#receipts += receipts.length
    for (const receipt of receipts) this.#checkReceipt(receipt, head)
    const indexes = new Set(receipts.map((receipt) => receipt.index))
    await eachOver(url, indexes, (connection, index) => this.#checkInclusion(connection, index, head))
  }

  #checkReceipt({ entry, index, leafHash, treeSize, proof }: Receipt, head: Checkpoint): void {
    if (this.twin.entries[index] !== entry) {
      throw new Error(`index ${index} was acknowledged for ${entry.slice(0, 60)} and holds something else`)
    }
    assert.equal(leafHash ?? hexOf(this.twin.leaf(index)), hexOf(this.twin.leaf(index)))
    if (treeSize !== undefined) {
      assert.ok(index < treeSize && treeSize <= head.size, `index ${index}, tree size ${treeSize}`)
    }
    if (proof !== undefined) this.#checkProofFile(proof, entry, index)
    this.tally.receipts++
  }

  #checkProofFile(proof: string, entry: string, index: number): void {
    const { origin, verifierKey } = this.#log
    const check = { proof, entry: Buffer.from(entry, 'latin1'), origin, verifierKeys: [verifierKey] }
    const { verdict, ...proven } = verifyProofFile(check)
    assert.deepEqual([verdict, 'index' in proven && proven.index], ['verified', index])
    this.#ledger.notes.add(parseProofFile(proof).checkpoint)
  }

  /** Asked for by leaf hash every other time, so that the look-up is examined too. */
  async #checkInclusion(connection: Connection, index: number, head: Checkpoint): Promise<void> {
    const leaf = this.twin.leaf(index)
    const which = index % 2 === 0 ? `index=${index}` : `hash=${hexOf(leaf)}`
    const proof = await connection.json<{ index: number; path: string[] }>(
      `v1/proofs/inclusion?${which}&size=${head.size}`,
    )
    assert.equal(proof.index, index)
    const path = proof.path.map((hash) => parseHex(hash, 'proof'))
    verifyInclusion({ index, size: head.size, leaf, path, root: head.root })
    this.tally.inclusionProofs++
  }

  /** Every head that anybody saw is a prefix of the newest one. */
  async #checkHeads(url: string, head: Checkpoint): Promise<void> {
    const fresh = [...this.#ledger.notes].filter((note) => !this.#notes.has(note))
    await eachOver(url, fresh, async (connection, note) => {
      const old = this.#open(note)
      assert.deepEqual(Buffer.from(this.twin.root(old.size)), Buffer.from(old.root))
      if (old.size > 0) await this.#checkConsistency(connection, old, head)
      this.#notes.add(note)
      this.tally.heads++
    })
  }

  async #checkConsistency(connection: Connection, old: Checkpoint, head: Checkpoint): Promise<void> {
    const proof = await connection.json<{ path: string[] }>(
      `v1/proofs/consistency?old=${old.size}&new=${head.size}`,
    )
    const path = proof.path.map((hash) => parseHex(hash, 'proof'))
    verifyConsistency({ oldSize: old.size, newSize: head.size, oldRoot: old.root, newRoot: head.root, path })
  }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
