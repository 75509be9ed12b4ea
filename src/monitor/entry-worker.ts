import { toBase64 } from '../bytes/base64.ts'
import { toHex } from '../bytes/hex.ts'
import {
  type LogFiles,
  readEntries,
  type VerifiedCheckpoint,
  type VerifiedEntry,
  VerifiedTiles,
} from '../client/index.ts'
import { parseSuccessorEntry } from '../client/lineage.ts'
import { inOrder } from '../client/ordered.ts'
import { formatBundlePath, formatTilePath, TILE_WIDTH } from '../tile/path.ts'
import { proveInclusion } from '../tile/prove.ts'
import { Blamed, blaming } from './blame.ts'
import { findingId } from './finding.ts'
import type { ShownHead } from './keep-evidence.ts'
import type { Ledger } from './ledger.ts'
import { MatchBudget, type Matcher } from './matcher.ts'
import type { MonitoredLog } from './monitored-log.ts'
import type { Parts } from './round.ts'
import type { SeenHead } from './state.ts'

/** Progress is saved after this many bundles at the latest. A monitor that is killed reads at most these again. */
const BUNDLES_A_SAVE = 16
/**
 * The time that slow expressions of one log may use in a round. Each matcher has its own share, so that one slow
 * expression does not keep the others from running. All logs share one thread.
 */
const MATCH_BUDGET_MS = 1_000
/** The most bytes of a matching entry that a finding contains. */
const SHOWN_BYTES = 4096

interface Skipped {
  readonly first: number
  readonly last: number
  readonly count: number
}

/** True if this monitor has read entries of the log before. If so, a refusal now is a change. */
export function haveBeenShown(log: MonitoredLog, { state: { entriesRead, nextIndex } }: Ledger): boolean {
  return entriesRead || (log.from !== 'end' && nextIndex > log.from)
}

/** Reads the entries of one log, verifies their hashes and runs the matchers on them. */
export class EntryWorker {
  readonly #parts: Parts
  /** Entries skipped since the last save, by matcher. */
  readonly #skipped = new Map<Matcher, Skipped>()
  #budgets = new Map<Matcher, MatchBudget>()
  #tiles: VerifiedTiles | undefined
  #isShutOut = false
  /** The log refused to show entries in this round, so earlier ones are not requested again either. */
  #isDenied = false

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** True while the log refuses to show its entries, and never showed any to this monitor. */
  get isShutOut(): boolean {
    return this.#isShutOut
  }

  /** Processes every entry below an accepted head that has not been processed. Stops at the first invalid entry. */
  async work(shown: ShownHead): Promise<void> {
    const { attempts, ledger } = this.#parts
    this.#isDenied = false
    const { matchers } = this.#parts.log
    this.#budgets = new Map(
      matchers.map((each) => [each, new MatchBudget(MATCH_BUDGET_MS / matchers.length)]),
    )
    if (ledger.state.nextIndex >= shown.head.size) return
    await attempts.run('entries', ['bad_entry', 'bad_tile'], async () => {
      try {
        await this.#read(shown)
        this.#isShutOut = false
      } catch (error) {
        this.#isDenied = error instanceof Blamed && error.kind === 'access_denied'
        this.#isShutOut = this.#isDenied && (await this.#mayNotRead(error as Blamed, shown))
        if (!this.#isShutOut) throw error
      }
    })
  }

  async #read({ head, seenMs }: ShownHead): Promise<void> {
    const { files, ledger } = this.#parts
    const tiles = this.#tilesOf(head)
    let next = ledger.state.nextIndex
    let bundles = 0
    try {
      for await (const entries of readBundles(files, tiles, next, head.size)) {
        await this.#match(entries)
        await this.#noteClaim(entries, tiles, { note: head.note, seenMs })
        ledger.note({ entriesRead: true })
        next += entries.length
        bundles++
        if (bundles % BUNDLES_A_SAVE === 0) await this.#save(next)
      }
    } finally {
      // Findings of these entries have been raised, also when an invalid entry follows or the log goes away.
      await this.#save(next)
    }
  }

  async #save(nextIndex: number): Promise<void> {
    for (const [matcher, skipped] of this.#skipped) await this.#raiseSkipped(matcher, skipped)
    this.#skipped.clear()
    await this.#parts.ledger.commit({ nextIndex })
  }

  /**
   * Whether the entries of this log are private to this monitor. They are if the log never showed it entries, and the
   * monitor has no key, or a key that only allows consistency proofs. If the log showed entries before, or refuses a
   * key for another reason, that is a finding.
   */
  async #mayNotRead({ code }: Blamed, { head: { size } }: ShownHead): Promise<boolean> {
    const { log, ledger, askProof } = this.#parts
    if (haveBeenShown(log, ledger)) return false
    if (log.apiKey === undefined) return true
    return (
      code === 'forbidden' &&
      askProof(1, size).then(
        () => true,
        () => false,
      )
    )
  }

  /** An entry that says that the log ends with it is a claim, which is later compared with what the log reports. */
  async #noteClaim(entries: readonly VerifiedEntry[], tiles: VerifiedTiles, head: SeenHead): Promise<void> {
    const { ledger, log } = this.#parts
    if (ledger.state.end && ledger.state.end.by !== 'entry') return
    const last = entries.findLast(({ entry }) => parseSuccessorEntry(entry)?.origin === log.origin)
    if (last === undefined) return
    const path = await proveInclusion(tiles, last.index, tiles.head.size)
    const { url: successor } = parseSuccessorEntry(last.entry)!.successor
    const proof = { entry: toBase64(last.entry), path: path.map(toHex) }
    ledger.note({ end: { size: last.index + 1, head, by: 'entry', successor, ...proof } })
  }

  /** Reads some old bundles again in each round, all of them in turn, to check that they are unchanged. */
  async recheck(head: VerifiedCheckpoint): Promise<void> {
    const { attempts, files, ledger, log } = this.#parts
    const { nextIndex, recheckBundle } = ledger.state
    const bundles = Math.ceil(Math.min(nextIndex, head.size) / TILE_WIDTH)
    const first = recheckBundle < bundles ? recheckBundle : 0
    const end = Math.min(bundles, first + log.recheckBundles)
    if (first >= end || this.#isDenied) return
    const done = await attempts.run('recheck', ['bad_entry', 'bad_tile'], async () => {
      // A fresh reader: cached tiles would not show what the log serves now.
      const tiles = new VerifiedTiles(files, head)
      const upTo = Math.min(end * TILE_WIDTH, nextIndex, head.size)
      for await (const _ of readBundles(files, tiles, first * TILE_WIDTH, upTo));
    })
    // A bundle that is invalid is read again until it is valid, so that its finding ends when the damage does.
    if (done) ledger.note({ recheckBundle: end })
  }

  async #match(entries: readonly VerifiedEntry[]): Promise<void> {
    const bytes = entries.map(({ entry }) => entry)
    for (const [matcher, budget] of this.#budgets) {
      for (const [i, verdict] of (await matcher.test(bytes, budget)).entries()) {
        if (verdict === 'skipped') this.#skip(matcher, entries[i]!.index)
        else if (verdict !== false) await this.#raise(matcher, entries[i]!, verdict === true)
      }
    }
  }

  #skip(matcher: Matcher, index: number): void {
    const { first, count } = this.#skipped.get(matcher) ?? { first: index, count: 0 }
    this.#skipped.set(matcher, { first, last: index, count: count + 1 })
  }

  /** One finding for all skipped entries: with one for each, an attacker could flood the receiver. */
  async #raiseSkipped({ name }: Matcher, { first, last, count }: Skipped): Promise<void> {
    await this.#parts.problems.raise(
      'match_timeout',
      findingId('match_timeout', this.#parts.log.origin, name, first),
      {
        message:
          `${count} entries from ${first} to ${last} were NOT checked for ${name}: on earlier entries the expression was so ` +
          `slow that it used up its time for this round`,
        detail: { matcher: name, firstIndex: first, lastIndex: last, entries: count },
      },
    )
  }

  /**
   * An entry that could not be decided in time is reported too; otherwise an entry could hide by being slow to match.
   */
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
        : `entry ${index}: the time limit ended before it was known whether the entry matches ${name}`,
      detail: { matcher: name, decided, index, leafHash: leaf, entry: shown, entryBytes: entry.length },
    })
  }

  #tilesOf(head: VerifiedCheckpoint): VerifiedTiles {
    const { size } = this.#tiles?.head ?? {}
    // Accepted heads of one size have one root hash.
    return (this.#tiles = size === head.size ? this.#tiles! : new VerifiedTiles(this.#parts.files, head))
  }
}

// Read-ahead, enough to hide network latency. A bundle has at most 16 MiB, usually far less.
const BUNDLES_AT_A_TIME = 4

/**
 * Reads entries [begin, end) in order, bundle by bundle, and the level-0 tile over each bundle. Both are verified
 * against the trusted head of `tiles`. Entries can be verified without the tile, but proofs are made from it, and no
 * other check covers it.
 *
 * @throws Blamed `bad_tile`, `bad_entry`, with the path; `unreachable`
 */
async function* readBundles(
  files: LogFiles,
  tiles: VerifiedTiles,
  begin: number,
  end: number,
): AsyncGenerator<VerifiedEntry[], void, undefined> {
  yield* inOrder(bundlesOf(begin, end), BUNDLES_AT_A_TIME, async (index) => {
    const width = Math.min(TILE_WIDTH, tiles.head.size - index * TILE_WIDTH)
    const tile = { level: 0, index, width }
    await blaming('bad_tile', formatTilePath(tile), () => tiles.readTiles([tile]))
    const [from, to] = [Math.max(begin, index * TILE_WIDTH), Math.min(end, index * TILE_WIDTH + width)]
    return blaming('bad_entry', formatBundlePath(index, width), () =>
      all(readEntries(files, tiles, from, to, 1)),
    )
  })
}

function* bundlesOf(begin: number, end: number): Generator<number> {
  for (let bundle = Math.floor(begin / TILE_WIDTH); bundle * TILE_WIDTH < end; bundle++) yield bundle
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
