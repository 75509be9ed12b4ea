import { Keyring } from '../access/keyring.ts'
import { accessState, formatAccessState } from '../access/state.ts'
import { SteleError } from '../errors.ts'
import { accessPath, META_LOG, readAccess, writeAccess } from './access-files.ts'
import { ACCESS, changedParts, hashOf, readConfiguration } from './configuration.ts'
import { lastConfiguration } from './last-configuration.ts'
import { keyActLine } from './meta-line.ts'
import { MetaLog, type MetaTarget } from './meta-log.ts'

/** Keys, and the log that says what they were used for. */
export interface Access {
  readonly keyring: Keyring
  /** Undefined only for an open server on a folder without access control: it has no keys that could be used. */
  readonly meta: MetaLog | undefined
}

/**
 * Puts keys and meta log of a data folder to work. Whatever changes the keys is written into the meta log first, and
 * only then done.
 *
 * @param target where the meta log is, opened by whoever calls
 * @param open a server that anybody may write to needs no keys
 * @throws SteleError `not_initialised`, `foreign_format`
 */
export async function openAccess(
  folder: string,
  target: MetaTarget,
  { open, nowMs }: { readonly open: boolean; readonly nowMs: () => number },
): Promise<Access> {
  const state = await readAccess(folder)
  if (!state) {
    if (!open) throw withoutAccess(folder)
    return {
      keyring: new Keyring(accessState([]), { apply: () => Promise.reject(withoutAccess(folder)), nowMs }),
      meta: undefined,
    }
  }
  const found = target.log && (await lastConfiguration(target.log).catch(() => undefined))
  const meta = new MetaLog(target, nowMs, found)
  const keyring = new Keyring(state, {
    nowMs,
    apply: async (act) => {
      const recorded = meta.configuration ?? (await readConfiguration(folder, undefined))
      const configuration = { ...recorded, [ACCESS]: hashOf(formatAccessState(act.state)) }
      await meta.write(keyActLine(act, configuration))
      await writeAccess(folder, act.state)
    },
  })
  return { keyring, meta }
}

/**
 * Writes down that a server begins, and with which configuration.
 *
 * @param options of the server, none of them secret
 * @returns the parts of the configuration that nobody recorded a change of
 * @throws SteleError `untraceable`
 */
export async function recordStart(
  folder: string,
  meta: MetaLog,
  server: { readonly version: string; readonly options: object },
): Promise<readonly string[]> {
  const before = meta.configuration
  const configuration = await readConfiguration(folder, server.options)
  // The first start has nothing to compare with; nor have the options, as long as only commands wrote here.
  const known = before && { options: configuration['options'] ?? '', ...before }
  const changed = known ? changedParts(known, configuration) : []
  await meta.write({ kind: 'start', version: server.version, configuration, changed })
  return changed
}

function withoutAccess(folder: string): SteleError {
  return new SteleError(
    'not_initialised',
    `${folder}: expected ${accessPath(folder)} and a log "${META_LOG}", found no access control. "stele access init" ` +
      `makes it; --open serves without keys, on loopback only`,
  )
}
