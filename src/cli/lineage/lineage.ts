import { toHex } from '../../bytes/hex.ts'
import { readEntries, VerifiedTiles } from '../../client/index.ts'
import {
  parsePredecessorEntry,
  parseSuccessorEntry,
  verifySuccession,
  type Succession,
} from '../../client/lineage.ts'
import { SteleError } from '../../errors.ts'
import { listLogs, readLogInfo } from '../../instance/data-folder.ts'
import { StoredLog } from '../files/stored-log.ts'

/** The log before or after another one. */
export interface Relative {
  readonly origin: string
  /** Its name in this data folder, if it is there. The two logs were then verified to name each other. */
  readonly name: string | undefined
}

/** The predecessor and the successor of a log. */
export interface Lineage {
  readonly name: string
  readonly origin: string
  readonly predecessor?: Relative
  readonly successor?: Relative
}

/** The parts of a log that name its neighbours, verified against its signed head. */
type Ends = Succession['old'] & Pick<Succession['next'], 'firstEntry'> & { readonly frozen: boolean }

/**
 * Checks both ends of a log against the neighbouring logs that are in the same data folder.
 *
 * @throws SteleError `bad_proof` if they do not name each other; `locked`, and as `StoredLog.open`
 */
export async function lineageOf(folder: string, name: string): Promise<Lineage> {
  const own = await endsOf(folder, name)
  const first = own && parsePredecessorEntry(own.firstEntry)
  const last = own?.frozen ? parseSuccessorEntry(own.lastEntry) : undefined
  const before = first && (await relative(folder, first.predecessor.origin))
  const behind = last && (await relative(folder, last.successor.origin))
  if (own && before?.ends) verifySuccession({ old: before.ends, next: own })
  if (own && behind?.ends) verifySuccession({ old: own, next: behind.ends })
  const { origin } = await readLogInfo(folder, name)
  return {
    name,
    origin,
    ...(before ? { predecessor: before.relative } : {}),
    ...(behind ? { successor: behind.relative } : {}),
  }
}

async function relative(
  folder: string,
  origin: string,
): Promise<{ relative: Relative; ends: Ends | undefined }> {
  for (const name of await listLogs(folder)) {
    if ((await readLogInfo(folder, name)).origin !== origin) continue
    return { relative: { origin, name }, ends: await endsOf(folder, name) }
  }
  return { relative: { origin, name: undefined }, ends: undefined }
}

/** The first and last entry of a log; undefined for an empty one. */
async function endsOf(folder: string, name: string): Promise<Ends | undefined> {
  const log = await StoredLog.open(folder, name)
  try {
    const head = log.unverifiedHead
    log.verifyHead(head)
    if (head.size === 0) return undefined
    const tiles = new VerifiedTiles(log.files, head)
    const entry = async (index: number): Promise<Uint8Array> => {
      for await (const found of readEntries(log.files, tiles, index, index + 1)) return found.entry.slice()
      throw new SteleError('out_of_range', `index ${index}: there is no such entry`)
    }
    return {
      origin: log.info.origin,
      verifierKeys: log.info.keys.map(({ verifierKey }) => verifierKey),
      treeSize: head.size,
      rootHash: toHex(head.root),
      firstEntry: await entry(0),
      lastEntry: await entry(head.size - 1),
      frozen: head.final !== undefined,
    }
  } finally {
    await log.close()
  }
}
