import { learnKeys, type KeySource } from '../client/learn-keys.ts'
import { formatVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { followRotations, splitRotations } from '../note/rotation.ts'
import type { Ledger } from './ledger.ts'
import type { MonitoredLog } from './monitored-log.ts'

/**
 * The keys whose signatures make a head valid: the configured keys, and those that rotation statements lead to from
 * them. The statements are part of the monitor's saved state, so that learned keys stay known.
 */
export class LogKeys {
  readonly #log: MonitoredLog
  readonly #ledger: Ledger
  readonly #source: KeySource
  readonly #onLearned: (vkeys: readonly string[]) => void
  #followed: { readonly rotations: string; readonly verifiers: readonly VerifierKey[] } | undefined

  constructor(
    log: MonitoredLog,
    ledger: Ledger,
    source: KeySource,
    onLearned: (vkeys: readonly string[]) => void = () => {},
  ) {
    this.#log = log
    this.#ledger = ledger
    this.#source = source
    this.#onLearned = onLearned
  }

  /** @throws SteleError as `followRotations` if the saved statements are damaged; the log is then not followed */
  get verifiers(): readonly VerifierKey[] {
    const { rotations } = this.#ledger.state
    if (this.#followed?.rotations !== rotations) {
      const { origin, verifierKeys } = this.#log
      const verifiers = followRotations({ origin, verifiers: verifierKeys }, rotations)
      this.#followed = { rotations, verifiers }
    }
    return this.#followed.verifiers
  }

  /**
   * Looks up whether a known key has announced the key that signs, and trusts it once the statement is on disk.
   *
   * @throws SteleError as `learnKeys`; errors of the store, after which nothing was learned
   */
  async learn(note: string): Promise<void> {
    const { origin } = this.#log
    const before = this.verifiers
    const { keys, statements } = await learnKeys(this.#source, { origin, verifiers: before }, note)
    const known = splitRotations(this.#ledger.state.rotations)
    await this.#ledger.commit({ rotations: [...known, ...statements].join('') })
    this.#onLearned(keys.slice(before.length).map(formatVerifierKey))
  }
}
