import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { toHex } from '../../bytes/hex.ts'
import { checkDataFolder, initDataFolder } from '../../instance/data-folder.ts'
import { withTrace } from '../../server/offline.ts'
import { checkPlaceIsFree } from '../../instance/restored-log.ts'
import type { Context } from '../context.ts'
import { formatCount } from '../output/units.ts'
import { restoredIdentity } from './identity.ts'
import { restore, type Restored, type RestoreOptions } from './restore.ts'
import { openRestoreSource, type RestoreSource } from './source.ts'

/** Restores one log, records it in the meta log, and prints the result. @throws SteleError as `restore`, `withTrace` */
export async function restoreOne(
  context: Context,
  from: string,
  options: RestoreOptions,
  name: string,
): Promise<void> {
  const { data, terminal } = context
  checkPlaceIsFree(data, name)
  await makeDataFolder(data)
  const headers = await context.headersForCopies([from, ...(options.mirror ?? []), options.catchUp])
  const source = await openRestoreSource(from, name, data, headers)
  try {
    const identity = await restoredIdentity(source, options, name)
    const job = { data, name, source, identity, options, terminal, headers }
    const { result, untraced } = await withTrace(
      data,
      { act: 'restore', log: name },
      () => restore(job),
      (restored) => shown(restored, source),
    )
    await terminal.result({ log: name, data, ...shown(result, source) }, textOf(name, result, source))
    if (untraced) terminal.warn(`${name}: this is not recorded in the meta log: ${untraced.message}`)
    if (result.compared.length > 0) return
    terminal.warn(
      'the log was not compared with any newer head: it has no witnesses, and no --head-file, --seen or ' +
        '--mirror was given. Compare it with a checkpoint kept by a client or monitor before you serve it',
    )
  } finally {
    await source.close()
  }
}

function shown({ opened, info, frozen, compared, withoutWitnesses }: Restored, source: RestoreSource) {
  const { origin, size, root } = opened.checkpoint
  const what = { origin, treeSize: size, rootHash: toHex(root), verifierKey: info.verifierKey, frozen }
  return { ...what, reads: info.reads, from: source.name, compared, withoutWitnesses }
}

function textOf(
  name: string,
  { opened, info, frozen, compared, withoutWitnesses }: Restored,
  source: RestoreSource,
): string {
  const { origin, size } = opened.checkpoint
  return [
    `${name}: restored ${origin} at size ${formatCount(size)} from ${source.name}`,
    `  reads: ${info.reads}; ${frozen ? 'FROZEN: it takes no entries' : 'it takes entries'}`,
    ...compared.map((seen) => `  compared with ${seen.source}: size ${formatCount(seen.size)}`),
    ...withoutWitnesses.map((witness) => `  NOT ASKED      witness ${witness}`),
  ].join('\n')
}

/** Creates the data folder if it is missing, as on a new machine. */
async function makeDataFolder(data: string): Promise<void> {
  if (existsSync(join(data, 'stele.json'))) await checkDataFolder(data)
  else await initDataFolder(data)
}
