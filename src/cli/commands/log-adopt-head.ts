import { existsSync } from 'node:fs'
import { readFile, rename } from 'node:fs/promises'
import { equalBytes } from '../../bytes/bytes.ts'
import { toHex } from '../../bytes/hex.ts'
import { VerifiedTiles } from '../../client/verified-tiles.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { decodeHead, encodeHead } from '../../log/head.ts'
import { openCheckpoint } from '../../note/checkpoint.ts'
import { createHeadFile, readHeadFile } from '../../storage/head-file.ts'
import { rootAt } from '../../tile/prove.ts'
import type { Administer } from '../../instance/plan.ts'
import { HOST, onStoredLog } from '../access/stored-logs.ts'
import type { Context } from '../context.ts'
import type { StoredLog } from '../files/stored-log.ts'
import { formatCount } from '../output/units.ts'

interface AdoptOptions {
  readonly checkpoint?: string
  readonly yesIHaveNone?: boolean
}

/** `stele log adopt-head`: makes a new head file from the database, after all possible checks. */
export async function adoptHead(context: Context, options: AdoptOptions, name: string): Promise<void> {
  if ((options.checkpoint === undefined) === (options.yesIHaveNone !== true)) {
    throw new SteleError(
      'usage',
      'log adopt-head: expected --checkpoint <file> with a checkpoint kept by another party, or --yes-i-have-none',
    )
  }
  await onStoredLog(context, name, ({ administer }) => adopt(context, options, name, administer))
}

async function adopt(
  context: Context,
  options: AdoptOptions,
  name: string,
  administer: Administer,
): Promise<void> {
  const { data, terminal } = context
  const { headFilePath } = await import('../../instance/data-folder.ts')
  const { StoredLog: Stored } = await import('../files/stored-log.ts')
  const log = await Stored.open(data, name)
  try {
    const path = headFilePath(data, name, log.info)
    await checkHeadFileIsLost(path, log.unverifiedHead.size)
    await checkWhole(context, log)
    if (options.checkpoint !== undefined) await checkExtends(log, options.checkpoint)
    const { size, root } = log.unverifiedHead
    const isDamaged = existsSync(path)
    await administer({ act: 'log_adopt_head', by: HOST, log: name }, async (announce) => {
      const before = { headFile: isDamaged ? 'damaged' : 'lost' }
      const compared = options.checkpoint !== undefined
      await announce({ before, after: { treeSize: size, rootHash: toHex(root), compared } })
      if (isDamaged) await rename(path, `${path}.damaged-${Date.now()}`)
      await createHeadFile(path, encodeHead(log.unverifiedHead))
    })
    await terminal.result(
      { name, headFile: path, treeSize: size, rootHash: toHex(root) },
      `${path}: made from the database's head of size ${formatCount(size)}, root hash ${toHex(root)}`,
    )
  } finally {
    await log.close()
  }
}

/** A readable head file is never replaced. */
async function checkHeadFileIsLost(path: string, size: number): Promise<void> {
  const file = await readHeadFile(path).catch((error: unknown) => {
    if (hasCode(error, 'head_missing', 'corrupt')) return undefined
    throw error
  })
  if (!file) return
  const kept = decodeHead(file.records[0]!, path)
  if (kept.size > size) {
    throw new SteleError(
      'rolled_back',
      `${path}: it holds a signed head of size ${kept.size}, but the database ends at ${size}: the database was ` +
        `rolled back. Restore the newer database; the head file is unchanged`,
    )
  }
  throw new SteleError(
    'already_exists',
    `${path}: the head file is readable (size ${kept.size}); nothing was changed`,
  )
}

async function checkWhole(context: Context, log: StoredLog): Promise<void> {
  const { auditLog } = await import('../../client/audit.ts')
  log.verifyHead(log.unverifiedHead)
  const bar = context.terminal.progress('rehashing', log.unverifiedHead.size)
  const report = await auditLog(log.files, {
    origin: log.info.origin,
    verifierKeys: [log.verifier],
    partialTiles: 'derived',
    onProgress: ({ entries }) => bar.at(entries),
  }).finally(() => bar.end())
  if (report.finding) throw new SteleError('corrupt', `${report.finding.message}; nothing was changed`)
}

/** The database must extend a checkpoint that another party kept. */
async function checkExtends(log: StoredLog, file: string): Promise<void> {
  const note = await readFile(file).catch((error: Error) => {
    throw new SteleError('io_error', `${file}: ${error.message}`, { cause: error })
  })
  const { checkpoint } = openCheckpoint(note, { origin: log.info.origin, verifiers: log.everyVerifier })
  const { size, root } = log.unverifiedHead
  if (checkpoint.size > size) {
    throw new SteleError(
      'rolled_back',
      `${file}: it is of size ${checkpoint.size}, but the database ends at ${size}: entries that were acknowledged ` +
        `are gone. Restore a newer database; nothing was changed`,
    )
  }
  if (checkpoint.size === 0) return
  const found =
    checkpoint.size === size
      ? root
      : await rootAt(new VerifiedTiles(log.files, { size, root }), checkpoint.size)
  if (!equalBytes(found, checkpoint.root)) {
    throw new SteleError(
      'fork',
      `${file}: at size ${checkpoint.size} it has root hash ${toHex(checkpoint.root)}, but the database has ${toHex(found)}: ` +
        `they are two histories; nothing was changed`,
    )
  }
}
