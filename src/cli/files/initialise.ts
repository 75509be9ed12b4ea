import { relative, resolve } from 'node:path'
import { hasCode, SteleError } from '../../errors.ts'
import { checkKeyName } from '../../note/key-id.ts'
import { initAccess, META_LOG } from '../../instance/access-files.ts'
import { checkVisibility, type Visibility } from '../../instance/change-access.ts'
import {
  checkDataFolder,
  createLog,
  initDataFolder,
  readLogInfo,
  type LogInfo,
  type NewLog,
} from '../../instance/data-folder.ts'
import { NEW_LOG } from '../../instance/log-files.ts'
import { DEFAULT_PUBLIC_URL, isLoopbackOrigin, originPrefix, originUnder } from '../../config/public-url.ts'
import type { Terminal } from '../output/terminal.ts'
import { keepKey, writeKey } from './secret-file.ts'

/** What a new log is to be. */
export interface NewLogOptions {
  readonly name: string
  /** Where others reach the server. */
  readonly publicUrl?: string | undefined
  readonly origin?: string | undefined
  readonly allowDuplicates?: boolean | undefined
  readonly headFolder?: string | undefined
  /** Everyone who reaches the server reads entries; otherwise they take a key. */
  readonly public?: boolean | undefined
  /** `open` or `closed`: whether checkpoints are for everyone. */
  readonly heads?: string | undefined
}

/** A data folder that was made, and the secret that it came with. */
export type Initialised = LogInfo & {
  readonly name: string
  /** The provisioning key. */
  readonly key: string
}

/**
 * Makes a data folder, its first log, and the key that all other keys come from.
 *
 * @param keyFile a new file of mode 600 for that key, in the data folder or elsewhere
 * @throws SteleError `already_exists`, `foreign_format`, `usage`, `io_error`; after the first two and `usage`
 *   nothing was changed
 */
export async function initialise(
  folder: string,
  options: NewLogOptions,
  keyFile?: string,
): Promise<Initialised> {
  // The folder is not there yet, or is empty: nothing can be in the way of a file in it.
  const inside = keyFile !== undefined && isWithin(folder, keyFile)
  const made = await keepKey(inside ? undefined : keyFile, () => make(folder, options))
  if (inside) await writeKey(keyFile, made.key)
  return made
}

async function make(folder: string, options: NewLogOptions): Promise<Initialised> {
  // A folder with half of what was asked for would be in the way of the next attempt.
  await checkName(folder, options.name)
  newLogOf(options)
  const metaOrigin = originOf({ name: META_LOG, publicUrl: options.publicUrl })
  await initDataFolder(folder)
  const log = await addLog(folder, options)
  const { key } = await initAccess(folder, metaOrigin)
  return { ...log, key }
}

function isWithin(folder: string, path: string): boolean {
  return !relative(resolve(folder), resolve(path)).startsWith('..')
}

/** Makes one more log in a data folder. @throws SteleError as `createLog` */
export async function addLog(folder: string, options: NewLogOptions): Promise<LogInfo & { name: string }> {
  const info = await createLog(folder, newLogOf(options))
  return { ...info, name: options.name }
}

/** What options ask for. @throws SteleError `usage` */
export function newLogOf(
  options: NewLogOptions,
): NewLog & Visibility & { readonly reads: 'public' | 'private' } {
  const { name, allowDuplicates = false, headFolder } = options
  const reads = options.public ? 'public' : NEW_LOG.reads
  const heads = headsOf(options.heads ?? NEW_LOG.heads)
  checkVisibility({ reads, heads })
  const origin = originOf(options)
  return { name, origin, allowDuplicates, reads, heads, ...(headFolder ? { headFolder } : {}) }
}

/** @throws SteleError `usage` */
export function headsOf(text: string): 'open' | 'closed' {
  if (text === 'open' || text === 'closed') return text
  throw new SteleError('usage', `--heads: expected open or closed, got "${text}"`)
}

/** Gives a data folder of before access control a provisioning key and a meta log. */
export async function addAccess(folder: string, publicUrl: string | undefined): Promise<string> {
  await checkDataFolder(folder)
  return (await initAccess(folder, originOf({ name: META_LOG, publicUrl }))).key
}

/** The origin is the log's URL without its scheme, unless somebody wants another one. */
export function originOf({ name, origin, publicUrl = DEFAULT_PUBLIC_URL }: NewLogOptions): string {
  const chosen = origin ?? originUnder(originPrefix(publicUrl, '--public-url'), name)
  try {
    checkKeyName(chosen, '--origin')
  } catch (error) {
    if (!hasCode(error, 'malformed')) throw error
    throw new SteleError('usage', error.message, { cause: error })
  }
  return chosen
}

/** An origin that names this machine alone, which nobody else could tell from that of another one, is for ever, too. */
export function warnOfLoopback(terminal: Terminal, origin: string): void {
  if (!isLoopbackOrigin(origin)) return
  terminal.warn(
    `the origin ${origin} names this machine alone, and can never be changed. It is the URL at which others reach the log, ` +
      'without its scheme: for a log that others are to verify, make another one with --public-url https://<host>',
  )
}

/** Reading what is not there yet refuses a bad name before anything else. */
async function checkName(folder: string, name: string): Promise<void> {
  try {
    await readLogInfo(folder, name)
  } catch (error) {
    if (!hasCode(error, 'not_found', 'not_initialised', 'foreign_format')) throw error
  }
}
