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

/** Restores one log, writes down that it did, and says what came of it. @throws SteleError as `restore`, `withTrace` */
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
    if (untraced) terminal.warn(`${name}: no line in the meta log says so: ${untraced.message}`)
    if (result.compared.length > 0) return
    terminal.warn(
      'nobody was asked whether more of this log was seen: it has no witnesses, and no --head-file, --seen or ' +
        '--mirror was given. Compare it with a checkpoint that somebody kept before you serve it',
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

/** Restoring makes a data folder where there is none: a new machine has nothing yet. */
async function makeDataFolder(data: string): Promise<void> {
  if (existsSync(join(data, 'stele.json'))) await checkDataFolder(data)
  else await initDataFolder(data)
}
