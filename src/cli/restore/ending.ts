import { SteleError } from '../../errors.ts'
import { finalRecord } from '../../log/lifecycle.ts'
import type { FinalRecord } from '../../log/head.ts'
import type { EndingState } from '../backup/description.ts'

/** What the operator says of whether the log has ended. */
export interface EndingOptions {
  /** It has; a string is the URL of the log that goes on. */
  readonly frozen?: string | true
  /** It has not. */
  readonly notFrozen?: boolean
}

/** What somebody says of it: a backup, a head file, a server. */
export interface EndingWitness {
  readonly source: string
  readonly ending: EndingState
}

/**
 * Decides whether the restored log has ended. Whoever says that it has is believed, since a log that has ended never takes
 * an entry again. That it has not is believed of a backup, as of its moment, or of the operator; where neither says so, it
 * is not guessed.
 *
 * @param source what is restored, and what it says
 * @param others whoever else knows something
 * @returns the mark for its head; undefined for a log that takes entries
 * @throws SteleError `usage` where nobody knows, or the operator contradicts what is known
 */
export function restoredEnding(
  source: { readonly name: string; readonly ending: EndingState | undefined },
  others: readonly EndingWitness[],
  { frozen, notFrozen = false }: EndingOptions,
): FinalRecord | undefined {
  if (frozen !== undefined && notFrozen)
    throw new SteleError('usage', '--frozen and --not-frozen: expected one')
  const own = source.ending ? [{ source: source.name, ending: source.ending }] : []
  const said = frozenBy([...own, ...others])
  if (said && notFrozen) {
    throw new SteleError('usage', `${said.source}: it says that the log is frozen, and that has no end`)
  }
  const asked = typeof frozen === 'string' ? finalRecord(frozen) : {}
  if (said) return finalRecord(said.successor ?? asked.successor)
  if (frozen !== undefined) return asked
  if (notFrozen || source.ending?.frozen === false) return undefined
  throw new SteleError(
    'usage',
    `${source.name}: it does not say whether the log was frozen, and a frozen log must never take entries again. Say ` +
      `--frozen [successor's URL], or --not-frozen`,
  )
}

/** Whoever says that it has ended, first of all one who names the successor. */
function frozenBy(
  witnesses: readonly EndingWitness[],
): { readonly source: string; readonly successor?: string | undefined } | undefined {
  const all = witnesses.flatMap(({ source, ending }) =>
    ending.frozen ? [{ source, successor: ending.successor }] : [],
  )
  return all.find(({ successor }) => successor !== undefined) ?? all[0]
}
