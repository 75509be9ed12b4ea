import { visible } from '../../bytes/visible.ts'
import { HOST, onStoredLog } from '../access/stored-logs.ts'
import type { Context } from '../context.ts'
import { SteleError } from '../../errors.ts'
import type { KeyAlgorithm, KeyChange } from '../../instance/change-keys.ts'
import { parseIndex } from '../range.ts'
import { serverOf, type ServerOption } from './log-server.ts'

const ALGORITHMS: readonly KeyAlgorithm[] = ['ed25519', 'ml-dsa-44']
const DAY_SECONDS = 86_400

/** `stele log add-key`. */
export async function addKeyCommand(
  context: Context,
  { algorithm = 'ed25519', ...options }: ServerOption & { readonly algorithm?: string },
  name: string,
): Promise<void> {
  const wanted = ALGORITHMS.find((known) => known === algorithm)
  if (!wanted) {
    throw new SteleError('usage', `--algorithm: expected ${ALGORITHMS.join(' or ')}, got "${algorithm}"`)
  }
  const server = await serverOf(context, options)
  if (server) return reportServed(context, name, await server.addKey(name, { algorithm: wanted }))
  await report(context, name, await onStoredLog(context, name, ({ logs }) => logs.addKey(HOST, name, wanted)))
}

/** `stele log rotate-key`. */
export async function rotateKeyCommand(
  context: Context,
  { key, overlapDays, ...options }: ServerOption & { readonly key?: string; readonly overlapDays?: string },
  name: string,
): Promise<void> {
  const overlapSeconds = overlapDays === undefined ? undefined : parseIndex(overlapDays) * DAY_SECONDS
  const wanted = { keyId: key, overlapSeconds }
  const server = await serverOf(context, options)
  if (server) return reportServed(context, name, await server.addKey(name, { rotate: true, ...wanted }))
  const change = await onStoredLog(context, name, ({ logs }) => logs.rotateKey(HOST, name, wanted))
  await report(context, name, change)
}

/** `stele log retire-key`. */
export async function retireKeyCommand(
  context: Context,
  { beforeOverlapEnds = false, ...options }: ServerOption & { readonly beforeOverlapEnds?: boolean },
  name: string,
  keyId: string,
): Promise<void> {
  const server = await serverOf(context, options)
  if (server) return reportServed(context, name, await server.retireKey(name, keyId, beforeOverlapEnds))
  const { logFiles } = await import('../../instance/data-folder.ts')
  const change = await onStoredLog(context, name, ({ logs }) =>
    logs.retireKey(HOST, name, keyId, beforeOverlapEnds),
  )
  await report(context, name, change)
  context.terminal.note(
    `It signs nothing from now on. Its private key is still in ${logFiles(context.data, name).folder}/${change.key.file}: ` +
      'destroy it once you are sure.',
  )
}

async function reportServed(
  { terminal }: Context,
  name: string,
  key: { readonly verifierKey: string; readonly retired?: unknown },
): Promise<void> {
  await terminal.result({ name, ...key }, visible(key.verifierKey))
  if (key.retired) return terminal.note(`It signs nothing for the log "${name}" from now on.`)
  terminal.note(`It signs for the log "${name}" from its next head on. Back up its file on the server.`)
}

async function report({ terminal, data }: Context, name: string, change: KeyChange): Promise<void> {
  const { info, key, statements } = change
  const { verifierKey } = key
  await terminal.result({ data, name, origin: info.origin, ...key, rotations: statements }, verifierKey)
  const signing = info.keys.filter(({ retired }) => !retired).length
  terminal.note(
    `The log "${name}" signs with ${signing} key${signing === 1 ? '' : 's'}, from its next head on.`,
  )
  if (statements.length > 0 && !key.retired) {
    terminal.note(
      `Its old keys announce the new one at v1/keys/rotations. Back up ${key.file} as you did the first key.`,
    )
  }
}
