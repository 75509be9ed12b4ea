import { blaming } from './blame.ts'
import type { HeadFollower } from './head-follower.ts'
import { judgeHeads } from './judge.ts'
import type { ShownHead } from './keep-evidence.ts'
import type { Parts } from './round.ts'
import type { TreeHeads, VerifiedTreeHead } from './tree-heads.ts'

/**
 * Reads the log's RFC 6962 tree heads as well as its checkpoints. They are dated, and signed by another key, so an
 * attacker with one of the keys cannot show a head that the other key did not sign without being noticed.
 */
export class SecondReader {
  readonly #parts: Parts
  readonly #treeHeads: TreeHeads
  readonly #heads: HeadFollower

  constructor(parts: Parts, treeHeads: TreeHeads, heads: HeadFollower) {
    this.#parts = parts
    this.#treeHeads = treeHeads
    this.#heads = heads
  }

  /**
   * Reads the tree head, and compares it with the accepted checkpoint and the previous tree head.
   *
   * @returns the date of the newest tree head, in milliseconds since 1970; undefined if there never was one
   */
  async read(): Promise<number | undefined> {
    const { attempts, ledger, clock } = this.#parts
    const known = ledger.state.treeHead
    const before = known && this.#treeHeads.open(known.note)
    const answer = await attempts.run('get-sth', ['bad_signature'], () => this.#treeHeads.read())
    if (!answer) return before?.timestampMs
    const shown = answer.value
    const seenMs = clock.nowMs()
    const wentBack =
      before !== undefined && known !== undefined && isLater(shown, before) && shown.size < before.size
    if (wentBack) await this.#reportRollback(this.#shown(before, known.seenMs), this.#shown(shown, seenMs))
    else if (!before || isLater(shown, before)) await this.#compare(this.#shown(shown, seenMs))
    return before && !isLater(shown, before) ? before.timestampMs : shown.timestampMs
  }

  async #compare(shown: ShownHead): Promise<void> {
    const { attempts, files, askProof, ledger, problems } = this.#parts
    await problems.settle('rollback', 'get-sth', undefined)
    const known = this.#heads.accepted
    if (!known) return
    const judged = await attempts.run('get-sth', ['bad_tile', 'unproven'], () =>
      blaming('bad_tile', `size ${shown.head.size}`, () =>
        judgeHeads(files, known.head, shown.head, askProof),
      ),
    )
    if (judged?.value) await this.#heads.reportFork(judged.value, known, shown)
    else if (judged) ledger.note({ treeHead: { note: shown.head.note, seenMs: shown.seenMs } })
  }

  /** The log itself dated both heads, so they prove a rollback to anyone. */
  async #reportRollback(known: ShownHead, shown: ShownHead): Promise<void> {
    const message = `the log signed a tree head of size ${shown.head.size} after one of size ${known.head.size}`
    await this.#parts.problems.settle('rollback', 'get-sth', {
      subject: `behind ${known.head.size}`,
      message,
      detail: { firstSize: known.head.size, secondSize: shown.head.size },
      evidence: this.#heads.keeper({ kind: 'rollback', heads: [known, shown], message }),
    })
  }

  #shown(head: VerifiedTreeHead, seenMs: number): ShownHead {
    return { head, seenMs, source: 'get-sth', url: this.#treeHeads.url }
  }
}

/** Compares dates, since an older head from a cache is not a rollback. */
function isLater(head: VerifiedTreeHead, before: VerifiedTreeHead): boolean {
  return head.timestampMs > before.timestampMs
}
