import { parseBase64 } from '../bytes/base64.ts'
import { parseHex } from '../bytes/hex.ts'
import { asHash } from '../merkle/hash.ts'
import type { Ending } from './evidence.ts'
import type { HeadFollower } from './head-follower.ts'
import type { ShownHead } from './keep-evidence.ts'
import type { LogWord, LogWords } from './log-word.ts'
import type { Parts } from './round.ts'
import type { KnownEnd } from './state.ts'

/**
 * Watches that a log which has ended stays as it ended. That it has, the log's own last entry says, or the log when it
 * is asked, or whoever set up the monitor; what came first is remembered, and the log is held to it for ever.
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
   * Looks whether the log has ended, or went on behind its end.
   *
   * @param head the newest accepted one
   * @param isNews whether it is larger than the one before: such a log need not be asked whether it has ended
   */
  async look(head: ShownHead, isNews: boolean): Promise<void> {
    const { ledger, log } = this.#parts
    if (ledger.state.end === undefined && log.frozen) this.#remember(head, { by: 'operator' })
    const end = ledger.state.end
    if (end) await this.#holdToSize(end, head)
    if (isNews) return
    const word = await this.#words.ask()
    if (word === undefined) return
    if (end) await this.#holdToWord(end, word)
    else this.#believe(word, head)
  }

  /**
   * A log may say that it has ended before its final head is published: its witnesses may take their time. A head that
   * was signed after it had said so is of the final tree.
   */
  #believe({ state, successor, saidMs, timestampMs = 0, treeSize }: LogWord, shown: ShownHead): void {
    const { ledger } = this.#parts
    const { saidFrozenMs } = ledger.state
    if (state !== 'frozen') ledger.note({ saidFrozenMs: 0 })
    else if (saidFrozenMs === 0) ledger.note({ saidFrozenMs: saidMs })
    else if (timestampMs > saidFrozenMs && treeSize === shown.head.size)
      this.#remember(shown, { by: 'log', successor })
  }

  #remember({ head, seenMs }: ShownHead, how: Pick<KnownEnd, 'by' | 'successor'>): void {
    const end = { size: head.size, head: { note: head.note, seenMs }, ...how }
    this.#parts.ledger.note({ end })
  }

  async #holdToSize(end: KnownEnd, shown: ShownHead): Promise<void> {
    const { size } = shown.head
    const more = size - end.size
    const message = `the log ended at size ${end.size} (${SAID[end.by]}), and signed size ${size} nevertheless`
    const problem = {
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
    await this.#parts.problems.settle('unfrozen', 'size', more > 0 ? problem : undefined)
  }

  /** A tree that went on behind its end before it was seen speaks for itself. */
  #headsOf(end: KnownEnd, shown: ShownHead): readonly [ShownHead, ShownHead] | readonly [ShownHead] {
    const first = this.#heads.reopen(end.head)
    return first.head.note === shown.head.note ? [first] : [first, shown]
  }

  /** Only signatures are evidence: what a log says when it is asked is the monitor's word. */
  async #holdToWord(end: KnownEnd, { state, successor }: LogWord): Promise<void> {
    const { ledger, problems } = this.#parts
    if (end.by === 'log' && end.successor === undefined && successor !== undefined) {
      // What ended without a successor may be given one.
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

const SAID: Readonly<Record<KnownEnd['by'], string>> = {
  entry: 'its last entry says so',
  log: 'it said so when it was asked',
  operator: 'this monitor was told so',
}

function takenBack(
  { successor: before }: KnownEnd,
  state: string,
  now: string | undefined,
): string | undefined {
  // What is closed, halted or failed says nothing of its end.
  if (['serving', 'confirming'].includes(state)) return `the log had ended, and says that it is ${state} now`
  if (state !== 'frozen' || before === undefined || before === now) return undefined
  return `the log had ended with the successor ${before}, and says now that ${now ?? 'it has none'}`
}

function endingOf({ size, entry, path }: KnownEnd): Ending | undefined {
  if (entry === undefined || path === undefined) return undefined
  return {
    index: size - 1,
    entry: parseBase64(entry, 'end of the log'),
    path: path.map((text) => asHash(parseHex(text, 'end of the log'), 'end of the log')),
  }
}
