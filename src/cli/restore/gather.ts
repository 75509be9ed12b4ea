import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { hasCode, SteleError } from '../../errors.ts'
import { decodeHead, type SignedHead } from '../../log/head.ts'
import type { LogIdentity } from '../../note/checkpoint.ts'
import { readHeadFile } from '../../storage/head-file.ts'
import { PATIENCE_MS } from '../context.ts'
import { readEnd } from '../backup/ending-state.ts'
import { openMirror, type Headers } from './ask-witnesses.ts'
import type { EndingWitness } from './ending.ts'
import { openSeen, type SeenHead } from './seen.ts'

/** What the operator can say was seen of the log. */
export interface SeenOptions {
  readonly headFile?: readonly string[]
  readonly seen?: readonly string[]
  readonly mirror?: readonly string[]
}

/** Heads that were seen, and when the log is known to have signed. */
export interface Gathered {
  readonly seen: readonly SeenHead[]
  readonly signedAtMs: readonly number[]
  /** Those that say that the log has ended. */
  readonly endings: readonly EndingWitness[]
}

/**
 * Reads what was seen of a log: head files, checkpoints that somebody kept, mirrors, the head that was published.
 *
 * @param former where the log kept its head file: one that is still there outlived the accident
 * @param published the record in the backup, if it has one
 * @param headers for mirrors that ask for a key
 * @throws SteleError for whatever cannot be read or is not signed by the log: it may be the one that saw more
 */
export async function gatherSeen(
  log: LogIdentity,
  { headFile = [], seen = [], mirror = [] }: SeenOptions,
  former: string | undefined,
  published: Uint8Array | undefined,
  headers: Headers,
): Promise<Gathered> {
  const paths = [...headFile, ...(former !== undefined && existsSync(former) ? [former] : [])]
  const heads: { source: string; head: SignedHead }[] = []
  for (const path of paths) {
    for (const head of await headsOf(path)) heads.push({ source: `head file ${path}`, head })
  }
  if (published) {
    const source = 'the published head of the backup'
    heads.push({ source, head: decodeHead(published, source) })
  }
  const all = heads.map(({ source, head }) => openSeen(source, head.checkpoint, log))
  for (const path of seen) all.push(openSeen(path, await readNote(path), log))
  const endings: EndingWitness[] = heads.flatMap(({ source, head: { final } }) => {
    return final ? [{ source, ending: { frozen: true as const, ...final } }] : []
  })
  for (const url of mirror) {
    const { files, note } = await openMirror(url, PATIENCE_MS, headers)
    all.push(openSeen(url, note, log, files))
    const ending = await readEnd(url, log.origin, headers)
    if (ending) endings.push({ source: url, ending })
  }
  return { seen: all, signedAtMs: heads.map(({ head }) => head.timestampMs), endings }
}

async function headsOf(path: string): Promise<SignedHead[]> {
  const file = await readHeadFile(path).catch((error: unknown) => {
    if (!hasCode(error, 'head_missing')) throw error
    throw new SteleError('not_found', `--head-file ${path}: there is no such file`, { cause: error })
  })
  return file.records.map((record) => decodeHead(record, path))
}

async function readNote(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: Error) => {
    throw new SteleError('io_error', `--seen ${path}: ${error.message}`, { cause: error })
  })
}
