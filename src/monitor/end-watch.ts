import { parseBase64 } from '../bytes/base64.ts'
import { parseHex, toHex } from '../bytes/hex.ts'
import { asHash, leafHash } from '../merkle/hash.ts'
import type { Ending } from './evidence.ts'
import { findingId } from './finding.ts'
import type { HeadFollower } from './head-follower.ts'
import type { ShownHead } from './keep-evidence.ts'
import type { LogWord, LogWords } from './log-word.ts'
import type { Problem } from './problems.ts'
import type { Parts } from './round.ts'
import type { KnownEnd } from './state.ts'

/** The name of the matcher for the last entry of a log that rolls over. */
const SUCCESSOR = 'stele-log-successor/v1'

/**
 * Checks that a log which has ended stays unchanged. The monitor learns of the end from the log's own answer, or from
 * the monitor's operator. It remembers the first statement for ever, and reports any deviation from it. An entry that
 * names a successor is only a claim, since a log of another program accepts such an entry from any submitter.
 */
export class EndWatch {
  readonly #parts: Parts
  readonly #heads: HeadFollower
  readonly #words: LogWords

  constructor(parts: Parts, heads: HeadFollower, words: LogWords) {
    this.#parts = parts
    this.#heads = heads
    this.#words = words
  }

  /**
   * Checks whether the log has ended, or continued after its end.
   *
   * @param head the newest accepted head
   * @param isNews whether the log has grown since the last round; a log that grows is only asked if its last entry
   *   claims an end
   */
  async look(head: ShownHead, isNews: boolean): Promise<void> {
    const { log } = this.#parts
    if (this.#known === undefined && log.frozen) this.#remember(head, { by: 'operator' })
    const end = this.#known
    await this.#holdToSize(end, head)
    const claim = end ? undefined : await this.#claimAt(head)
    if (isNews && !claim) return
    const word = await this.#words.ask()
    if (word === undefined) return
    if (end) await this.#holdToWord(end, word)
    else this.#believe(word, head, claim)
  }

  /** The end that the log must not go beyond. */
  get #known(): KnownEnd | undefined {
    const { end } = this.#parts.ledger.state
    return end?.by === 'entry' ? undefined : end
  }

  /** The claim in the last entry of the newest head. If other entries follow it, the claim is reported and dropped. */
  async #claimAt({ head }: ShownHead): Promise<KnownEnd | undefined> {
    const { ledger, log, problems } = this.#parts
    const claim = ledger.state.end
    if (claim?.entry === undefined || claim.size >= head.size) return claim
    const index = claim.size - 1
    const entry = parseBase64(claim.entry, 'end of the log')
    const leaf = toHex(leafHash(entry))
    await problems.raise('match', findingId('match', log.origin, SUCCESSOR, index, leaf), {
      message:
        `entry ${index} says that the log ends with it, but ${head.size - claim.size} more follow. No signature ` +
        'shows that the log wrote that entry: any submitter may have written it',
      detail: { matcher: SUCCESSOR, decided: true, index, leafHash: leaf, entry: claim.entry },
    })
    ledger.note({ end: undefined })
    return undefined
  }

  /**
   * A log may report its end before its final head is published, since its witnesses need time. A head that was signed
   * after that report is final; so is a head whose last entry names the same end as the report.
   */
  #believe(word: LogWord, shown: ShownHead, claim: KnownEnd | undefined): void {
    const { state, successor, saidMs, timestampMs = 0, treeSize } = word
    const { ledger } = this.#parts
    const { saidFrozenMs } = ledger.state
    const isWhole = treeSize === shown.head.size
    if (state !== 'frozen') ledger.note({ saidFrozenMs: 0 })
    else if (isWhole && claim?.size === treeSize) ledger.note({ end: { ...claim, by: 'log' } })
    else if (saidFrozenMs === 0) ledger.note({ saidFrozenMs: saidMs })
    else if (timestampMs > saidFrozenMs && isWhole) this.#remember(shown, { by: 'log', successor })
  }

  #remember({ head, seenMs }: ShownHead, how: Pick<KnownEnd, 'by' | 'successor'>): void {
    const end = { size: head.size, head: { note: head.note, seenMs }, ...how }
    this.#parts.ledger.note({ end })
  }

  async #holdToSize(end: KnownEnd | undefined, shown: ShownHead): Promise<void> {
    const isHeld = end === undefined || shown.head.size <= end.size
    await this.#parts.problems.settle('unfrozen', 'size', isHeld ? undefined : this.#wentOn(end, shown))
  }

  #wentOn(end: KnownEnd, shown: ShownHead): Problem {
    const { size } = shown.head
    const message = `the log ended at size ${end.size} (${saidBy(end)}), but signed size ${size} later`
    return {
      subject: `behind ${end.size}`,
      message,
      detail: { firstSize: end.size, secondSize: size, by: end.by },
      evidence: this.#heads.keeper({
        kind: 'unfrozen',
        heads: this.#headsOf(end, shown),
        ending: endingOf(end),
        message,
      }),
    }
  }

  #headsOf(end: KnownEnd, shown: ShownHead): readonly [ShownHead, ShownHead] | readonly [ShownHead] {
    const first = this.#heads.reopen(end.head)
    return first.head.note === shown.head.note ? [first] : [first, shown]
  }

  /** Only signatures count as evidence. The answer of the log is known from the monitor alone. */
  async #holdToWord(end: KnownEnd, { state, successor }: LogWord): Promise<void> {
    const { ledger, problems } = this.#parts
    if (end.by === 'log' && end.successor === undefined && successor !== undefined) {
      // A log that ended without a successor may name one later.
      ledger.note({ end: { ...end, successor } })
      return
    }
    const message = takenBack(end, state, successor)
    const detail = { by: end.by, state, before: end.successor ?? '', now: successor ?? '' }
    const problem =
      message === undefined ? undefined : { subject: `${state} ${successor ?? ''}`, message, detail }
    await problems.settle('unfrozen', 'word', problem)
  }
}

function saidBy({ by, entry }: KnownEnd): string {
  if (by === 'operator') return 'as configured in this monitor'
  if (entry === undefined) return 'as the log reported'
  return 'as its last entry says and the log reported'
}

function takenBack(
  { successor: before }: KnownEnd,
  state: string,
  now: string | undefined,
): string | undefined {
  // A log that is closed, halted or failed does not report whether it has ended.
  if (['serving', 'indexing', 'confirming'].includes(state))
    return `the log had ended, but now reports the state ${state}`
  if (state !== 'frozen' || before === undefined || before === now) return undefined
  return `the log had ended with the successor ${before}, but now reports ${now ?? 'none'}`
}

function endingOf({ size, entry, path }: KnownEnd): Ending | undefined {
  if (entry === undefined || path === undefined) return undefined
  return {
    index: size - 1,
    entry: parseBase64(entry, 'end of the log'),
    path: path.map((text) => asHash(parseHex(text, 'end of the log'), 'end of the log')),
  }
}
