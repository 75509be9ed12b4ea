import { learnKeys, type KeySource } from '../client/learn-keys.ts'
import { formatVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { followRotations, splitRotations } from '../note/rotation.ts'
import type { Ledger } from './ledger.ts'
import type { MonitoredLog } from './monitored-log.ts'

/**
 * Whose signatures make a head one of the log: the keys that were given, and those that statements lead to from them.
 * The statements are in the ledger, so that what was learned once is known as long as the monitor's folder is.
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

  /** @throws SteleError as `followRotations`, for statements of a damaged state: it is not followed on a guess */
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
   * Finds out whether a key that signs has been announced by one that is known, and believes it once that is on disk.
   *
   * @throws SteleError as `learnKeys`; whatever the store throws: then nothing was learned
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
