import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { concatBytes, equalBytes } from '../../bytes/bytes.ts'
import { toHex } from '../../bytes/hex.ts'
import { VerifiedTiles } from '../../client/index.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { headFilePath, logFiles } from '../../instance/data-folder.ts'
import { decodeHead, type SignedHead } from '../../log/head.ts'
import { checkIndexed, writeLeaves } from '../../log/leaf-index.ts'
import { type Hash, HASH_BYTES, leafHash } from '../../merkle/hash.ts'
import { readHeadFile } from '../../storage/head-file.ts'
import { LevelLeafIndex } from '../../storage/leaf-index.ts'
import type { LogStore } from '../../storage/store.ts'
import { rootAt } from '../../tile/prove.ts'
import { StoredLog } from '../files/stored-log.ts'
import type { Terminal } from '../output/terminal.ts'
import { counted, formatCount } from '../output/units.ts'
import { auditInto } from './audit.ts'
import { Findings, type FsckReport } from './report.ts'

/** Options beside the audit. */
export interface StoredOptions {
  readonly secondOpinion: boolean
  readonly rebuildIndex: boolean
}

/**
 * Checks everything of one log of a data folder. Damage becomes a finding.
 *
 * @throws SteleError if the log cannot be checked: `locked`, `not_found`, `foreign_format`, `io_error`
 */
export async function fsckStored(
  terminal: Terminal,
  folder: string,
  name: string,
  options: StoredOptions,
): Promise<FsckReport> {
  const findings = new Findings(name)
  const log = await asFinding(findings, 'database', () => StoredLog.open(folder, name))
  if (!log) {
    findings.notChecked.push('entries, tiles, head file and leaf index: the database cannot be opened')
    return findings.report()
  }
  try {
    await checkFiles(findings, terminal, log)
    const signed = await asFinding(findings, 'head', async () => {
      log.verifyHead(log.unverifiedHead)
      findings.checked.push('both signatures of the stored head')
      return true
    })
    if (signed) await auditInto(findings, terminal, auditTarget(log), options.secondOpinion)
    else findings.notChecked.push('entries and tiles: there is no signed head to compare them with')
    await asFinding(findings, 'head_file', () => checkHeadFile(findings, folder, log))
    await checkIndex(findings, terminal, folder, log, options)
    return findings.report()
  } finally {
    await log.close()
  }
}

/** Checks table files before LevelDB reads them, since some damage makes LevelDB end the process. */
async function checkFiles(findings: Findings, terminal: Terminal, { store }: StoredLog): Promise<void> {
  const bar = terminal.progress('checking files')
  const faults = await store.checkAllFiles(async (checked, of) => bar.at(checked, undefined, of))
  bar.end()
  for (const { begin, end, message } of faults) findings.findings.push({ kind: 'file', begin, end, message })
  findings.checked.push('all table files, each block by its checksum')
}

function auditTarget(log: StoredLog) {
  const { files, info, verifier } = log
  return { files, origin: info.origin, verifierKeys: [verifier], partialTiles: 'derived' as const }
}

/** Errors that mean damage, rather than that nothing could be checked. */
async function asFinding<T>(
  findings: Findings,
  kind: string,
  check: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await check()
  } catch (error) {
    const damage = ['corrupt', 'bad_signature', 'untrusted_signer', 'wrong_origin', 'malformed'] as const
    const more = ['rolled_back', 'fork', 'head_missing', 'bad_proof', 'out_of_range'] as const
    if (!hasCode(error, ...damage, ...more)) throw error
    findings.findings.push({ kind, code: error.code, message: error.message })
    return undefined
  }
}

/** The head file must hold signed heads that the database extends. */
async function checkHeadFile(findings: Findings, folder: string, log: StoredLog): Promise<void> {
  const path = headFilePath(folder, log.name, log.info)
  const file = await readHeadFile(path)
  if (!file.intact)
    findings.warnings.push(`${path}: one of its two copies is torn; the next commit rewrites it`)
  for (const record of file.records) {
    const kept = decodeHead(record, path)
    log.verifyHead(kept)
    await checkExtends(log, kept, path)
  }
  const { size } = decodeHead(file.records[0]!, path)
  findings.checked.push(
    `head file: ${counted(file.records.length, 'signed head')}, the newest of size ${formatCount(size)}`,
  )
}

async function checkExtends(
  { files, unverifiedHead: head }: StoredLog,
  kept: SignedHead,
  path: string,
): Promise<void> {
  if (kept.size > head.size) {
    throw new SteleError(
      'rolled_back',
      `${path}: it holds a signed head of size ${kept.size}, but the database ends at ${head.size}`,
    )
  }
  const root = kept.size === head.size ? head.root : await rootAt(new VerifiedTiles(files, head), kept.size)
  if (equalBytes(root, kept.root)) return
  throw new SteleError(
    'fork',
    `${path}: at size ${kept.size} root hash ${toHex(kept.root)} was signed, but the database has ${toHex(root)}`,
  )
}

/** Missing leaves in the index are a warning, since the index can be rebuilt. */
async function checkIndex(
  findings: Findings,
  terminal: Terminal,
  folder: string,
  log: StoredLog,
  { rebuildIndex }: StoredOptions,
): Promise<void> {
  const { leafIndex } = logFiles(folder, log.name)
  if (findings.findings.length > 0) {
    findings.notChecked.push('the leaf index: it is compared with the tree, which is damaged')
  } else if (rebuildIndex) {
    await rebuildLeafIndex(terminal, leafIndex, log)
    findings.checked.push('the leaf index: rebuilt')
  } else if (existsSync(leafIndex)) {
    await checkLeafIndex(findings, terminal, leafIndex, log)
  } else {
    findings.warnings.push(`${leafIndex}: it is missing; the server rebuilds it when it opens the log`)
  }
}

const FULL = 256

/** Looks up every leaf. */
export async function checkLeafIndex(
  findings: Findings,
  terminal: Terminal,
  folder: string,
  log: StoredLog,
): Promise<void> {
  const { store, unverifiedHead } = log
  const index = await LevelLeafIndex.open(folder)
  const bar = terminal.progress('leaf index', unverifiedHead.size)
  let missing = 0
  let first: number | undefined
  try {
    const { faults: damaged } = await index.checkFiles(undefined, async () => {})
    findings.warnings.push(...damaged.map(({ message }) => message))
    for await (const { begin, slab } of leavesOf(store, unverifiedHead.size)) {
      const faults = await checkIndexed(index, store, leavesIn(begin, slab))
      missing += faults.length
      first ??= faults[0]?.index
      bar.at(begin + slab.length / HASH_BYTES)
    }
  } finally {
    bar.end()
    await index.close()
  }
  const { size } = unverifiedHead
  findings.checked.push(`the leaf index: ${formatCount(Math.min(size, index.cursor) - missing)} leaves`)
  if (index.cursor < size)
    findings.notChecked.push(`leaves from ${index.cursor} on in the leaf index: not written yet`)
  if (missing === 0) return
  findings.warnings.push(
    `leaf index: ${counted(missing, 'leaf is', 'leaves are')} not found, the first one ${first}. Nothing is lost, but look-ups ` +
      `miss them and the same bytes would be logged again: run "stele fsck --rebuild-index"`,
  )
}

/** Rebuilds the leaf index from the tree. */
export async function rebuildLeafIndex(terminal: Terminal, folder: string, log: StoredLog): Promise<void> {
  const { store, unverifiedHead } = log
  await rm(folder, { recursive: true, force: true })
  const index = await LevelLeafIndex.open(folder)
  const bar = terminal.progress('rebuilding', unverifiedHead.size)
  try {
    for await (const { begin, slab } of leavesOf(store, unverifiedHead.size)) {
      const leaves = leavesIn(begin, slab)
      await writeLeaves(index, leaves, true)
      bar.at(begin + leaves.length)
    }
    await index.moveCursor(unverifiedHead.size)
  } finally {
    bar.end()
    await index.close()
  }
}

/** Leaf hashes from the stored tiles, and the rest computed from the newest entries. */
async function* leavesOf(store: LogStore, size: number): AsyncGenerator<{ begin: number; slab: Uint8Array }> {
  for (let begin = 0; begin < size; begin += FULL) {
    const slab = begin + FULL <= size ? await fullTile(store, begin / FULL) : undefined
    const entries = slab ? [] : await store.readEntries(begin, Math.min(begin + FULL, size))
    yield { begin, slab: slab ?? concatBytes(...entries.map(leafHash)) }
  }
}

async function fullTile(store: LogStore, index: number): Promise<Uint8Array | undefined> {
  return (await store.readTiles([{ level: 0, index }]))[0]
}

function leavesIn(begin: number, slab: Uint8Array): { hash: Hash; index: number }[] {
  return Array.from({ length: slab.length / HASH_BYTES }, (_, i) => ({
    hash: slab.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES) as Hash,
    index: begin + i,
  }))
}
