import { toHex } from '../bytes/hex.ts'
import type { VerifiedCheckpoint } from '../client/index.ts'
import { hasCode, SteleError } from '../errors.ts'
import { openCheckpoint, type LogIdentity } from '../note/checkpoint.ts'
import { blaming } from './blame.ts'
import { judgeHeads, type Contradiction } from './judge.ts'
import { evidenceKeeper, type Conflict, type ShownHead } from './keep-evidence.ts'
import type { Parts } from './round.ts'
import type { SeenHead } from './state.ts'

/** Follows the checkpoints of one log. A head is accepted only if it extends every head accepted before. */
export class HeadFollower {
  readonly #parts: Parts
  readonly #treeHeadVkey: string | undefined
  #opened: VerifiedCheckpoint | undefined

  constructor(parts: Parts, treeHeadVkey: string | undefined) {
    this.#parts = parts
    this.#treeHeadVkey = treeHeadVkey
  }

  /**
   * The newest head that was accepted.
   *
   * @throws SteleError as `openCheckpoint`: the saved head must verify under the current keys too
   */
  get accepted(): ShownHead | undefined {
    const kept = this.#parts.ledger.state.head
    if (kept === undefined) return undefined
    return this.#shown(this.#open(kept.note), kept.seenMs)
  }

  /** Reads the log's checkpoint; undefined if it has no valid signature. */
  async show(): Promise<ShownHead | undefined> {
    const { attempts, ledger, clock } = this.#parts
    const opened = await attempts.run(
      'checkpoint',
      ['bad_signature'],
      async () => {
        const note = await this.#ask()
        ledger.note({ contactMs: clock.nowMs() })
        return blaming('bad_signature', undefined, () => this.#openOrLearn(note))
      },
      { sinceMs: ledger.state.contactMs || undefined },
    )
    return opened && this.#shown(opened.value, clock.nowMs())
  }

  /**
   * Accepts a head durably, or raises a finding.
   *
   * @returns whether it is accepted
   */
  async accept(shown: ShownHead): Promise<boolean> {
    const known = this.accepted
    if (known === undefined) return this.#take(shown)
    const { size } = known.head
    if (shown.head.size < size) return this.#judgeSmaller(known, shown)
    await this.#parts.problems.settle('rollback', 'checkpoint', undefined)
    if (shown.head.note === known.head.note) return true
    const judged = await this.#judge(known, shown)
    if (!judged) return false
    if (judged.value) await this.reportFork(judged.value, known, shown)
    return judged.value ? false : this.#take(shown)
  }

  /** Raises a fork with its evidence. */
  async reportFork(
    { older, newer, proof, message }: Contradiction,
    known: ShownHead,
    shown: ShownHead,
  ): Promise<void> {
    // The subject names the two contradicting root hashes, so that a growing branch does not become a new finding with
    // every head.
    const roots = [older.root, proof?.olderRoot ?? newer.root].map(toHex).toSorted()
    await this.#parts.problems.report('fork', {
      subject: `${older.size} ${roots.join(' ')}`,
      message,
      detail: { firstSize: known.head.size, secondSize: shown.head.size },
      evidence: this.keeper({ kind: 'fork', heads: [known, shown], proof, message }),
    })
  }

  /** Writes the evidence for a finding about two heads. */
  keeper(conflict: Conflict) {
    const { store, log, keys } = this.#parts
    const { origin } = log
    return evidenceKeeper(store, { origin, verifiers: keys.verifiers }, this.#treeHeadVkey, conflict)
  }

  /** A larger head is not accepted while its tiles are wrong or withheld: it may belong to another history. */
  async #judge(
    known: ShownHead,
    shown: ShownHead,
  ): Promise<{ readonly value: Contradiction | undefined } | undefined> {
    const { size, root } = shown.head
    const message = `the log signed size ${size}, but does not serve tiles that lead to its root hash`
    return this.#parts.attempts.run(
      'head',
      ['bad_tile', 'unproven'],
      () =>
        blaming('bad_tile', `size ${size}, root hash ${toHex(root)}`, () =>
          judgeHeads(this.#parts.files, known.head, shown.head, this.#parts.askProof),
        ),
      { evidence: this.keeper({ kind: 'unproven', heads: [known, shown], message }) },
    )
  }

  /**
   * A log that is rolled back may also have another history. If the tiles of the larger head are still served, they
   * show that.
   */
  async #judgeSmaller(known: ShownHead, shown: ShownHead): Promise<false> {
    let stillServed = true
    const contradiction = await judgeHeads(
      this.#parts.files,
      known.head,
      shown.head,
      this.#parts.askProof,
    ).catch((error: unknown) => {
      if (!(error instanceof SteleError)) throw error
      stillServed = false
      return undefined
    })
    if (contradiction) {
      await this.reportFork(contradiction, known, shown)
      return false
    }
    const message =
      `the log serves a head of size ${shown.head.size}, but earlier served one of size ${known.head.size}` +
      (stillServed
        ? '; the tiles of the larger one are still served, so this may be an old copy of the checkpoint'
        : '')
    await this.#parts.problems.settle('rollback', 'checkpoint', {
      subject: `behind ${known.head.size}`,
      message,
      detail: { firstSize: known.head.size, secondSize: shown.head.size, stillServed },
      evidence: this.keeper({ kind: 'rollback', heads: [known, shown], message }),
    })
    return false
  }

  async #take({ head, seenMs }: ShownHead): Promise<true> {
    const { ledger, log } = this.#parts
    const isFirst = ledger.state.head === undefined
    const start = isFirst && log.from === 'end' ? { nextIndex: head.size } : {}
    await ledger.commit({ head: { note: head.note, seenMs }, newsMs: seenMs, ...start })
    return true
  }

  /** A response that is not text is the log's fault. Other failures may be caused by the network. */
  async #ask(): Promise<string> {
    try {
      return await this.#parts.files.checkpoint()
    } catch (error) {
      const kind = hasCode(error, 'malformed') ? 'bad_signature' : 'unreachable'
      return blaming(kind, undefined, () => {
        throw error
      })
    }
  }

  /** Opens a head that was accepted earlier. */
  reopen({ note, seenMs }: SeenHead): ShownHead {
    return this.#shown({ ...openCheckpoint(note, this.#identity).checkpoint, note }, seenMs)
  }

  /** If the key is unknown, asks the log whether a known key has announced it. */
  async #openOrLearn(note: string): Promise<VerifiedCheckpoint> {
    try {
      return this.#open(note)
    } catch (error) {
      if (!hasCode(error, 'untrusted_signer')) throw error
      await this.#parts.keys.learn(note)
      return this.#open(note)
    }
  }

  get #identity(): LogIdentity {
    const { log, keys } = this.#parts
    return { origin: log.origin, verifiers: keys.verifiers }
  }

  #open(note: string): VerifiedCheckpoint {
    if (this.#opened?.note !== note) {
      this.#opened = { ...openCheckpoint(note, this.#identity).checkpoint, note }
    }
    return this.#opened
  }

  #shown(head: VerifiedCheckpoint, seenMs: number): ShownHead {
    return { head, seenMs, source: 'checkpoint', url: this.#parts.log.url }
  }
}
