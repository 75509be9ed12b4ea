import { stat } from 'node:fs/promises'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { isLoopbackName } from '../access/address.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import { logPrefix } from '../client/http-files.ts'
import { Transport } from '../client/transport.ts'
import { SteleError } from '../errors.ts'
import { parseVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { fileError, readFileIfAny } from '../storage/files.ts'
import { checkLogs } from './logs.ts'
import type { CosignerKind } from './cosigner-folder.ts'
import type { ListedLog } from './log-list.ts'

/** Of a list as it comes. The largest public one has 40,000 logs in 8 MB. */
export const MAX_LIST_BYTES = 16 * 1024 * 1024
/** Most logs of a list. A mirror has a database and a follower for each. */
const MOST_LOGS = { witness: 100_000, mirror: 1000 } as const satisfies Record<CosignerKind, number>
/** Most lines about entries that are left out; the rest is counted. */
const MOST_TOLD = 20

/** The usable part of a published list of logs. */
export interface PublicList {
  readonly logs: readonly ListedLog[]
  /** Why entries were left out, each with its origin. */
  readonly skipped: readonly string[]
}

/** What an entry says. */
interface Entry {
  readonly vkey: string
  readonly origin: string | undefined
  /** Of its tlog-tiles files, where it says so. */
  readonly url?: string | undefined
}

/**
 * Parses a published list of logs: the `logs/v0` text of witness-network.org, which litewitness and omniwitness fetch,
 * or the YAML of omniwitness (`Logs:`). Unusable entries, for example with keys of other types, are left out and
 * reported.
 *
 * @param own the public keys of the cosigner
 * @throws SteleError `malformed` for text that is not such a list, naming the line; then none of it is used
 */
export function parsePublicList(text: string, own: readonly VerifierKey[], kind: CosignerKind): PublicList {
  const lines = contentLines(text)
  const entries = lines[0]?.text === TEXT_HEADER ? textEntries(lines) : yamlEntries(text)
  if (entries.length > MOST_LOGS[kind]) {
    throw malformed(`expected at most ${MOST_LOGS[kind]} logs, got ${entries.length}`)
  }
  const logs = new Map<string, ListedLog>()
  const skipped: string[] = []
  for (const entry of entries) {
    const read = readEntry(entry, own, kind)
    if (typeof read === 'string') skipped.push(read)
    else if (logs.has(read.origin)) skipped.push(`${excerpt(read.origin)}: it is there twice`)
    else logs.set(read.origin, read)
  }
  const more = skipped.length - MOST_TOLD
  const told = more > 0 ? [...skipped.slice(0, MOST_TOLD), `and ${more} more`] : skipped
  return { logs: [...logs.values()], skipped: told }
}

/**
 * Reads the text of a list.
 *
 * @param source a file, or an `https://` URL; `http://` only of this machine, since nothing else authenticates the list
 * @throws SteleError `usage` for another URL; `io_error`; `malformed` if it is too long or not text; as `Transport.ask`
 */
export async function loadPublicList(source: string, signal?: AbortSignal): Promise<string> {
  if (!isUrl(source)) return readListFile(source)
  checkListUrl(source)
  const { body } = await new Transport().ask(source, { maxBytes: MAX_LIST_BYTES, fresh: true, signal })
  return decodeUtf8(body, 'list of logs')
}

/** @throws SteleError `usage` for a URL that no list is taken from */
export function checkListUrl(source: string): void {
  if (!isUrl(source)) return
  const url = URL.canParse(source) ? new URL(source) : undefined
  const isLocal = url?.protocol === 'http:' && isLoopbackName(url.hostname.replace(/^\[|\]$/g, ''))
  if (url && !url.username && (url.protocol === 'https:' || isLocal)) return
  throw new SteleError('usage', 'log-list: expected a file, https://…, or http:// of this machine')
}

function isUrl(source: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(source)
}

async function readListFile(path: string): Promise<string> {
  const info = await stat(path).catch((error: unknown) => {
    throw fileError(path, error)
  })
  if (info.size > MAX_LIST_BYTES) throw malformed(`${path}: expected at most ${MAX_LIST_BYTES} bytes`)
  return decodeUtf8((await readFileIfAny(path)) ?? new Uint8Array(0), path)
}

const TEXT_HEADER = 'logs/v0'

interface Line {
  readonly number: number
  readonly text: string
}

function contentLines(text: string): Line[] {
  const lines = text.split('\n').map((line, i) => ({ number: i + 1, text: line.trim() }))
  return lines.filter((line) => line.text !== '' && !line.text.startsWith('#'))
}

/** The order of the lines of a log is strict; `origin` alone may be left out. */
const FIELDS = ['vkey', 'origin', 'qpd', 'contact']

function textEntries([, ...lines]: readonly Line[]): Entry[] {
  const entries: { vkey: string; origin: string | undefined }[] = []
  let expected = ['vkey']
  for (const { number, text } of lines) {
    const [, field = '', value = ''] = /^(\S+)\s+(.*)$/.exec(text) ?? []
    if (!expected.includes(field)) {
      throw malformed(`line ${number}: expected ${expected.join(' or ')}, got ${excerpt(text)}`)
    }
    if (field === 'vkey') entries.push({ vkey: value, origin: undefined })
    if (field === 'origin') entries.at(-1)!.origin = value
    if (field === 'qpd' && !/^[1-9][0-9]{0,9}$/.test(value)) {
      throw malformed(`line ${number}: expected a number of requests per day, got ${excerpt(value)}`)
    }
    const next = FIELDS[FIELDS.indexOf(field) + 1] ?? 'vkey'
    expected = next === 'origin' ? ['origin', 'qpd'] : [next]
  }
  if (!expected.includes('vkey')) throw malformed(`expected ${expected.join(' or ')} at the end, got nothing`)
  return entries
}

const Yaml = z.object({
  Logs: z.array(
    z.object({
      Origin: z.string().optional(),
      URL: z.string().optional(),
      PublicKey: z.string(),
      Feeder: z.string().optional(),
    }),
  ),
})

function yamlEntries(text: string): Entry[] {
  let value: unknown
  try {
    value = parseYaml(text, { maxAliasCount: 0, prettyErrors: false })
  } catch (error) {
    throw malformed(`expected "${TEXT_HEADER}" or YAML: ${(error as Error).message}`)
  }
  const list = Yaml.safeParse(value)
  if (!list.success) {
    throw malformed(`expected "${TEXT_HEADER}" or YAML with Logs: ${z.prettifyError(list.error)}`)
  }
  return list.data.Logs.map(({ Origin, URL: url, PublicKey, Feeder }) => {
    // Those of other feeders have APIs of their own.
    return { vkey: PublicKey, origin: Origin, url: Feeder === 'tiles' ? url : undefined }
  })
}

/** The log of an entry, or why it cannot be used. */
function readEntry(
  { vkey, origin, url }: Entry,
  own: readonly VerifierKey[],
  kind: CosignerKind,
): ListedLog | string {
  const shown = excerpt(origin ?? vkey)
  try {
    const key = parseVerifierKey(vkey)
    const log: ListedLog = {
      origin: origin ?? key.name,
      keys: [key],
      ...(kind === 'mirror' && url !== undefined ? { url: logPrefix(url) } : {}),
    }
    checkLogs([log], own)
    return log
  } catch (error) {
    if (!(error instanceof SteleError) || error.code === 'internal') throw error
    return `${shown}: ${error.message}`
  }
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', `list of logs: ${message}`)
}
