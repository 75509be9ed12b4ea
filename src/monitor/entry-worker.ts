import { toBase64 } from '../bytes/base64.ts'
import { toHex } from '../bytes/hex.ts'
import { VerifiedTiles, type VerifiedCheckpoint, type VerifiedEntry } from '../client/index.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import { readBundles } from './bundles.ts'
import { findingId } from './finding.ts'
import type { Matcher } from './matcher.ts'
import type { Parts } from './round.ts'

/** Progress is saved at least after so many bundles: what a killed monitor repeats. */
const BUNDLES_A_SAVE = 16
/** Of a matching entry, no more goes into the finding. */
const SHOWN_BYTES = 4096

/** Reads, re-hashes and looks through the entries of one log. */
export class EntryWorker {
  readonly #parts: Parts
  #tiles: VerifiedTiles | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Deals with every entry below an accepted head that has not been dealt with. Ends early at one that is not good. */
  async work(head: VerifiedCheckpoint): Promise<void> {
    const { attempts, files, ledger } = this.#parts
    if (ledger.state.nextIndex >= head.size) return
    await attempts.run('entries', ['bad_entry', 'bad_tile'], async () => {
      let next = ledger.state.nextIndex
      let bundles = 0
      try {
        for await (const entries of readBundles(files, this.#tilesOf(head), next, head.size)) {
          await this.#match(entries)
          next += entries.length
          bundles++
          if (bundles % BUNDLES_A_SAVE === 0) await ledger.commit({ nextIndex: next })
        }
      } finally {
        // What was found in them is out: also before an entry that is not good, and when the log goes away.
        await ledger.commit({ nextIndex: next })
      }
    })
  }

  /** Reads some of what was dealt with again, in turns: what is old must stay as it was. */
  async recheck(head: VerifiedCheckpoint): Promise<void> {
    const { attempts, files, ledger, log } = this.#parts
    const { nextIndex, recheckBundle } = ledger.state
    const bundles = Math.ceil(Math.min(nextIndex, head.size) / TILE_WIDTH)
    const first = recheckBundle < bundles ? recheckBundle : 0
    const end = Math.min(bundles, first + log.recheckBundles)
    if (first >= end) return
    const done = await attempts.run('recheck', ['bad_entry', 'bad_tile'], async () => {
      // Tiles that are in memory would say nothing of what is served now.
      const tiles = new VerifiedTiles(files, head)
      const upTo = Math.min(end * TILE_WIDTH, nextIndex, head.size)
      for await (const _ of readBundles(files, tiles, first * TILE_WIDTH, upTo));
    })
    // One that is not good is read again until it is, so that its finding ends when the damage does.
    if (done) ledger.note({ recheckBundle: end })
  }

  async #match(entries: readonly VerifiedEntry[]): Promise<void> {
    for (const matcher of this.#parts.log.matchers) {
      const found = await matcher.test(entries.map(({ entry }) => entry))
      for (const [i, matches] of found.entries()) {
        if (matches !== false) await this.#raise(matcher, entries[i]!, matches === true)
      }
    }
  }

  /** What could not be decided in time is raised, too: else an entry could hide by being slow. */
  async #raise(
    { name }: Matcher,
    { index, entry, leafHash }: VerifiedEntry,
    decided: boolean,
  ): Promise<void> {
    const leaf = toHex(leafHash)
    const id = findingId('match', this.#parts.log.origin, name, index, leaf)
    const shown = toBase64(entry.subarray(0, SHOWN_BYTES))
    await this.#parts.problems.raise('match', id, {
      message: decided
        ? `entry ${index} matches ${name}`
        : `entry ${index}: whether it matches ${name} could not be found out in time`,
      detail: { matcher: name, decided, index, leafHash: leaf, entry: shown, entryBytes: entry.length },
    })
  }

  #tilesOf(head: VerifiedCheckpoint): VerifiedTiles {
    const { size } = this.#tiles?.head ?? {}
    // Accepted heads of one size have one root hash.
    return (this.#tiles = size === head.size ? this.#tiles! : new VerifiedTiles(this.#parts.files, head))
  }
}
