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

/** The options of a new log. */
export interface NewLogOptions {
  readonly name: string
  /** The public URL of the server. */
  readonly publicUrl?: string | undefined
  readonly origin?: string | undefined
  readonly allowDuplicates?: boolean | undefined
  readonly headFolder?: string | undefined
  /** True if entries can be read without a key. */
  readonly public?: boolean | undefined
  /** `open` or `closed`: whether checkpoints can be read without a key. */
  readonly heads?: string | undefined
}

/** A new data folder, and its secret. */
export type Initialised = LogInfo & {
  readonly name: string
  /** The provisioning key. */
  readonly key: string
}

/**
 * Creates a data folder, its first log, and the provisioning key.
 *
 * @param keyFile a new file of mode 600 for the provisioning key, in the data folder or elsewhere
 * @throws SteleError `already_exists`, `foreign_format`, `usage`, `io_error`; after `already_exists`, `foreign_format`
 *   and `usage` nothing was changed
 */
export async function initialise(
  folder: string,
  options: NewLogOptions,
  keyFile?: string,
): Promise<Initialised> {
  // The folder is missing or empty, so no file in it can conflict.
  const inside = keyFile !== undefined && isWithin(folder, keyFile)
  const made = await keepKey(inside ? undefined : keyFile, () => make(folder, options))
  if (inside) await writeKey(keyFile, made.key)
  return made
}

async function make(folder: string, options: NewLogOptions): Promise<Initialised> {
  // Checked before anything is created: a partly made folder would make the next attempt fail.
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

/** Creates another log in a data folder. @throws SteleError as `createLog` */
export async function addLog(folder: string, options: NewLogOptions): Promise<LogInfo & { name: string }> {
  const info = await createLog(folder, newLogOf(options))
  return { ...info, name: options.name }
}

/** Checks and completes the options of a new log. @throws SteleError `usage` */
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

/** Gives a data folder without access control a provisioning key and a meta log. */
export async function addAccess(folder: string, publicUrl: string | undefined): Promise<string> {
  await checkDataFolder(folder)
  return (await initAccess(folder, originOf({ name: META_LOG, publicUrl }))).key
}

/** The origin: the log's URL without its scheme, unless --origin names another one. */
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

/**
 * An origin can never be changed, so one that names the local machine gets a warning: on other machines it means
 * another log.
 */
export function warnOfLoopback(terminal: Terminal, origin: string): void {
  if (!isLoopbackOrigin(origin)) return
  terminal.warn(
    `the origin ${origin} names only this machine, and can never be changed. An origin is the public URL of the log ` +
      'without its scheme: for a log that others verify, create another one with --public-url https://<host>',
  )
}

/** Computed first, so that an invalid name is refused before anything else. */
async function checkName(folder: string, name: string): Promise<void> {
  try {
    await readLogInfo(folder, name)
  } catch (error) {
    if (!hasCode(error, 'not_found', 'not_initialised', 'foreign_format')) throw error
  }
}
