import { Keyring } from '../access/keyring.ts'
import { accessState, formatAccessState } from '../access/state.ts'
import { SteleError } from '../errors.ts'
import { accessPath, META_LOG, readAccess, writeAccess } from '../instance/access-files.ts'
import { administer } from '../audit-trail/administer.ts'
import {
  ACCESS,
  changedParts,
  hashOf,
  readConfiguration,
  withEarlierLogs,
} from '../instance/configuration.ts'
import type { StartLine } from '../audit-trail/meta-line.ts'
import { MetaLog, type MetaTarget, type Recorded } from '../audit-trail/meta-log.ts'
import { type LogAccount, readTrailState, unaccounted } from '../audit-trail/trail-state.ts'

/** The API keys of a data folder, and the meta log that records their use. */
export interface Access {
  readonly keyring: Keyring
  /** Undefined only for an open server on a folder without access control, which has no keys. */
  readonly meta: MetaLog | undefined
}

/**
 * Opens the API keys and the meta log of a data folder. Each change of the keys is recorded in the meta log before it
 * takes effect.
 *
 * @param target the opened meta log
 * @param open true for a server that accepts appends without a key; it needs no keys
 * @throws SteleError `not_initialised`, `foreign_format`
 */
export async function openAccess(
  folder: string,
  target: MetaTarget,
  {
    open,
    nowMs,
    maxKeyMs,
  }: { readonly open: boolean; readonly nowMs: () => number; readonly maxKeyMs?: number | undefined },
): Promise<Access> {
  const state = await readAccess(folder)
  if (!state) {
    if (!open) throw withoutAccess(folder)
    return {
      keyring: new Keyring(accessState([]), { apply: () => Promise.reject(withoutAccess(folder)), nowMs }),
      meta: undefined,
    }
  }
  // A meta log that cannot be read now is read again before the first write.
  const meta = new MetaLog(target, nowMs, await recall(folder, target).catch(() => undefined))
  const keyring = new Keyring(state, {
    nowMs,
    maxKeyMs,
    apply: ({ act, by, before, after, state: next }) =>
      administer({ folder, meta }, { act, by }, async (announce) => {
        await announce({ before, after, parts: { [ACCESS]: hashOf(formatAccessState(next)) } })
        await writeAccess(folder, next)
      }),
  })
  return { keyring, meta }
}

/**
 * Records that the server starts, and its configuration. Until this line is written, requests that need a line are
 * refused.
 *
 * @param target the meta log; if it could not be opened before, its state is read now
 * @param server its options, none of them secret, and the sizes of the logs that are open
 * @returns the parts of the configuration that changed without a line, and the logs that have entries without a line
 * @throws SteleError `untraceable`
 */
export async function recordStart(
  folder: string,
  meta: MetaLog,
  target: MetaTarget,
  server: {
    readonly version: string
    readonly options: object
    readonly sizes?: () => NonNullable<StartLine['sizes']>
  },
): Promise<{ readonly changed: readonly string[]; readonly untraced: readonly LogAccount[] }> {
  meta.hold('it does not say yet that this server has started')
  if (!meta.configuration) {
    const recorded = await recall(folder, target)
    if (recorded) meta.recall(recorded)
  }
  const before = meta.configuration
  const configuration = await readConfiguration(folder, server.options)
  // The first start has no earlier line to compare with. The same holds for the options while only commands wrote here.
  const known = before && { options: configuration['options'] ?? '', ...before }
  const changed = known ? changedParts(known, configuration) : []
  const sizes = server.sizes?.() ?? []
  const untraced = meta.accountsFor(sizes).filter((account) => unaccounted(account).length > 0)
  const shown = changed.slice(0, MOST_CHANGED)
  const rest = shown.length < changed.length ? { changedInAll: changed.length } : {}
  await meta.write({ kind: 'start', version: server.version, configuration, changed: shown, ...rest, sizes })
  meta.hold(undefined)
  return { changed, untraced }
}

/** The configuration that the meta log recorded last. @throws SteleError `untraceable` */
async function recall(folder: string, { log }: MetaTarget): Promise<Recorded | undefined> {
  try {
    const state = log && (await readTrailState(log))
    if (!state?.isEarlier) return state
    const current = await readConfiguration(folder, undefined)
    return { ...state, configuration: withEarlierLogs(state.configuration, current) }
  } catch (cause) {
    throw new SteleError('untraceable', `the meta log cannot be read: ${(cause as Error).message}`, { cause })
  }
}

/** The most names of changed parts in one line. */
const MOST_CHANGED = 100

function withoutAccess(folder: string): SteleError {
  return new SteleError(
    'not_initialised',
    `${folder}: expected ${accessPath(folder)} and a log "${META_LOG}", found no access control. "stele access init" ` +
      `makes it; --open serves without keys, on loopback only`,
  )
}
