import { hasCode, SteleError } from '../../errors.ts'
import { decodeHead } from '../../log/head.ts'
import { repairRange, type RepairReport } from '../../scrub/repair.ts'
import { headFilePath } from '../../instance/data-folder.ts'
import { readHeadFile } from '../../storage/head-file.ts'
import { StoredLog } from '../files/stored-log.ts'
import type { Terminal } from '../output/terminal.ts'
import type { Headers } from './ask-witnesses.ts'
import { openSeen } from './seen.ts'
import { openRestoreSource } from './source.ts'

/**
 * Repairs a log of a data folder. The log is locked meanwhile.
 *
 * @throws SteleError `locked`; `rolled_back` for a database that lost its newest entries, which repair cannot put back;
 *   as `repairRange`
 */
export async function repairStored(
  terminal: Terminal,
  data: string,
  name: string,
  from: string,
  dryRun: boolean,
  headers: Headers,
): Promise<RepairReport> {
  const log = await StoredLog.open(data, name, { salvage: !dryRun })
  try {
    const { unverifiedHead: head, info, everyVerifier } = log
    log.verifyHead(head)
    await checkNotBehind(data, log, terminal)
    await clearDamage(log, terminal, dryRun)
    const source = await openRestoreSource(from, name, data, headers)
    const bar = terminal.progress('repairing', head.size)
    try {
      const identity = { origin: info.origin, verifiers: everyVerifier }
      const copy = openSeen(source.name, await source.files.checkpoint(), identity)
      const files = { files: source.files, size: copy.head.size }
      return await repairRange(log.store, head, files, { dryRun, onProgress: (entries) => bar.at(entries) })
    } finally {
      bar.end()
      await source.close()
    }
  } finally {
    await log.close()
  }
}

/** Removes files that LevelDB must not read; their contents are then restored from the copy. */
async function clearDamage({ store }: StoredLog, terminal: Terminal, dryRun: boolean): Promise<void> {
  const bar = terminal.progress('checking files')
  const faults = await store.checkAllFiles(async (checked, of) => bar.at(checked, undefined, of))
  bar.end()
  for (const { message } of faults) terminal.warn(message)
  if (dryRun || faults.length === 0) return
  for (const copy of await store.clearFaults())
    terminal.note(`the damaged file, with its remaining contents, is kept as ${copy}`)
}

async function checkNotBehind(data: string, log: StoredLog, terminal: Terminal): Promise<void> {
  const path = headFilePath(data, log.name, log.info)
  const file = await readHeadFile(path).catch((error: unknown) => {
    if (!hasCode(error, 'head_missing', 'corrupt')) throw error
    terminal.warn(error.message)
    return undefined
  })
  if (!file) return
  const kept = decodeHead(file.records[0]!, path)
  const { size } = log.unverifiedHead
  if (kept.size <= size) return
  throw new SteleError(
    'rolled_back',
    `${path}: a head of size ${kept.size} was signed, but the database ends at ${size}: its end is gone, not damaged. ` +
      `Nothing was changed; move the log aside and restore it`,
  )
}
