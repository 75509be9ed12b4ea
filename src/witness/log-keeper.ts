import { join } from 'node:path'
import { z } from 'zod'
import { excerpt } from '../bytes/excerpt.ts'
import { systemClock } from '../client/clock.ts'
import { SteleError } from '../errors.ts'
import { formatVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { readTextFile, replaceFile } from '../storage/files.ts'
import { Turns } from '../bytes/turns.ts'
import { cosignerFiles, type CosignerKind } from './cosigner-folder.ts'
import { formatJson, parseJson } from '../instance/json-file.ts'
import { addToLogList, dropFromLogList, readLogList, type ListedLog } from './log-list.ts'
import { checkListUrl, loadPublicList, parsePublicList } from './public-list.ts'
import type { ServerLog } from '../http/server-log.ts'

/** Changes of one step that get a log line each; further ones are only counted. */
const MOST_TOLD = 100
/** How long a published list is waited for. */
const PATIENCE_MS = 30_000
/** Changes that may wait for their turn: each is a request of an operator. */
const MOST_WAITING = 16

/** A published list that a cosigner follows besides its own. */
export interface FollowedList {
  /** A file or a URL. */
  readonly source: string
  readonly everyMs: number
}

/** The parts of a log keeper. */
export interface LogKeeperParts {
  readonly kind: CosignerKind
  readonly folder: string
  /** The public keys of the cosigner. */
  readonly own: readonly VerifierKey[]
  readonly list: FollowedList | undefined
  readonly logger: ServerLog
  /** Makes the state of a new log. */
  readonly makeRoom: (origin: string) => Promise<void>
  /**
   * Makes the cosigner work for exactly these logs from now on.
   *
   * @throws SteleError and then it works for the same logs as before
   */
  readonly apply: (logs: readonly ListedLog[]) => Promise<void>
}

/** Where a log of a cosigner comes from: its own list, or the one that it follows. */
export type ListOf = 'logs.json' | 'log-list'

/**
 * Changes the logs of a running cosigner: by its own list, which is read again, by requests, and by a published list.
 * Runs one change at a time; a failed one leaves everything as it was. Owner of the stored copy of the published list,
 * so that a start does not depend on its publisher, and of the two lists as last applied.
 */
export class LogKeeper {
  readonly #parts: LogKeeperParts
  readonly #turns = new Turns(MOST_WAITING)
  readonly #stop = new AbortController()
  #own: readonly ListedLog[] = []
  #published: readonly ListedLog[] = []
  #keptText: string | undefined
  #following: Promise<void> | undefined

  /** @throws SteleError `usage` for a list that cannot be followed */
  constructor(parts: LogKeeperParts) {
    if (parts.list) checkListUrl(parts.list.source)
    this.#parts = parts
  }

  /** All logs, those of the cosigner's own list first. For a log on both lists, the own list counts. */
  get listed(): readonly (ListedLog & { readonly list: ListOf })[] {
    return [
      ...this.#own.map((log) => ({ ...log, list: 'logs.json' as const })),
      ...merged(this.#own, this.#published).map((log) => ({ ...log, list: 'log-list' as const })),
    ]
  }

  /**
   * The logs at the start: the own list, and the stored copy of the published one.
   *
   * @throws SteleError as `readLogList`; `io_error`
   */
  async open(): Promise<readonly ListedLog[]> {
    this.#own = await this.#readOwn()
    this.#published = await this.#readKept()
    return this.listed
  }

  /** Begins to follow the published list, if there is one. */
  follow(): void {
    const { list } = this.#parts
    if (list) this.#following = this.#followList(list)
  }

  /** Reads the own list and the published one again. Never rejects: an error is logged, and changes nothing. */
  async reload(): Promise<void> {
    const { logger, list } = this.#parts
    try {
      await this.#turns.take('', async () => this.#apply(await this.#readOwn(), this.#published, 'reload'))
      logger.info({ logs: this.listed.length }, 'the list of logs was read again')
    } catch (error) {
      logger.error({ err: error }, 'the list of logs CANNOT BE USED, and the logs stay as they were')
    }
    if (list) await this.#loadList(list)
  }

  /**
   * Adds a log, or a key of a log.
   *
   * @throws SteleError as `addToLogList`, and as `apply`, after which the log is on the list; no message names the file
   */
  add(log: ListedLog): Promise<ListedLog> {
    const { kind, own, makeRoom } = this.#parts
    return this.#changed(async () => {
      if (kind === 'witness' && log.url !== undefined) {
        throw new SteleError('usage', 'a witness follows no log: expected no URL')
      }
      await makeRoom(log.origin)
      const added = await addToLogList(this.#path, own, log, kind)
      await this.#apply(await this.#readOwn(), this.#published, 'request')
      return added
    })
  }

  /**
   * Drops a log. Its state is kept.
   *
   * @throws SteleError `not_found`; `usage` for a log of the published list, which would add it again; as `apply`
   */
  drop(origin: string): Promise<void> {
    const { kind, own } = this.#parts
    return this.#changed(async () => {
      const isOwn = this.#own.some((log) => log.origin === origin)
      if (!isOwn && this.#published.some((log) => log.origin === origin)) {
        const message = `log ${excerpt(origin)}: it is on the list that is followed, and has to be dropped there`
        throw new SteleError('usage', message)
      }
      await dropFromLogList(this.#path, own, origin, kind)
      await this.#apply(await this.#readOwn(), this.#published, 'request')
    })
  }

  /** Stops following the published list, and waits for a change in progress. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#following
    await this.#turns.idle()
  }

  get #path(): string {
    return cosignerFiles(this.#parts.folder).logs
  }

  /** A change by a request. Its errors name no path of this machine. */
  #changed<T>(change: () => Promise<T>): Promise<T> {
    return this.#turns.take('', change).catch((error: unknown) => {
      if (!(error instanceof SteleError) || error.code === 'internal') throw error
      throw new SteleError(error.code, error.message.replaceAll(`${this.#path}: `, ''), { cause: error })
    })
  }

  #readOwn(): Promise<ListedLog[]> {
    return readLogList(this.#path, this.#parts.own, this.#parts.kind)
  }

  async #apply(own: readonly ListedLog[], published: readonly ListedLog[], by: string): Promise<void> {
    const before = this.listed
    const next = [...own, ...merged(own, published)]
    await this.#parts.apply(next)
    this.#own = own
    this.#published = published
    this.#tell(before, next, by)
  }

  #tell(before: readonly ListedLog[], next: readonly ListedLog[], by: string): void {
    const changes = changesOf(before, next)
    const { logger } = this.#parts
    for (const { what, ...fields } of changes.slice(0, MOST_TOLD)) {
      if (what === 'added') logger.info({ ...fields, by }, 'log added')
      else if (what === 'changed') logger.warn({ ...fields, by }, 'log changed')
      else logger.warn({ ...fields, by }, 'log dropped; what is known of it is kept')
    }
    const more = changes.length - MOST_TOLD
    if (more > 0) logger.warn({ more, by }, 'further logs were added, changed or dropped')
  }

  async #followList(list: FollowedList): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#loadList(list)
      await systemClock.sleep(list.everyMs, this.#stop.signal).catch(() => undefined)
    }
  }

  async #loadList({ source }: FollowedList): Promise<void> {
    const { logger, own, kind, makeRoom } = this.#parts
    const { signal } = this.#stop
    try {
      const text = await loadPublicList(source, AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]))
      const { logs, skipped } = parsePublicList(text, own, kind)
      await this.#turns.take('', async () => {
        const known = new Set(this.#published.map(({ origin }) => origin))
        // A log that was listed before and has no state any more has lost it, so no new state is made.
        for (const { origin } of logs) if (!known.has(origin)) await makeRoom(origin)
        await this.#apply(this.#own, logs, 'log-list')
        if (text !== this.#keptText) await replaceFile(this.#keptPath, formatJson({ source, text }))
        this.#keptText = text
      })
      if (skipped.length > 0) logger.warn({ source, skipped }, 'entries of the followed list are left out')
    } catch (error) {
      if (signal.aborted) return
      logger.error({ source, err: error }, 'the followed list CANNOT BE USED, and the logs stay as they were')
    }
  }

  get #keptPath(): string {
    return join(this.#parts.folder, 'log-list.json')
  }

  /** The published list as it was applied last; nothing if another one is followed now. */
  async #readKept(): Promise<readonly ListedLog[]> {
    const { list, own, kind } = this.#parts
    const text = list && (await readTextFile(this.#keptPath))
    if (text === undefined) return []
    const kept = Kept.safeParse(parseJson(text, this.#keptPath))
    if (!kept.success || kept.data.source !== list?.source) return []
    this.#keptText = kept.data.text
    return parsePublicList(kept.data.text, own, kind).logs
  }
}

const Kept = z.object({ source: z.string(), text: z.string() })

/** Those of the published list that the own list does not have. */
function merged(own: readonly ListedLog[], published: readonly ListedLog[]): readonly ListedLog[] {
  const origins = new Set(own.map(({ origin }) => origin))
  return published.filter(({ origin }) => !origins.has(origin))
}

type Change = { readonly origin: string } & (
  | { readonly what: 'added'; readonly log: object }
  | { readonly what: 'changed'; readonly log: object; readonly before: object }
  | { readonly what: 'dropped' }
)

function changesOf(before: readonly ListedLog[], next: readonly ListedLog[]): Change[] {
  const was = new Map(before.map((log) => [log.origin, shown(log)]))
  const is = new Map(next.map((log) => [log.origin, shown(log)]))
  const changes: Change[] = []
  for (const [origin, log] of is) {
    const old = was.get(origin)
    if (!old) changes.push({ what: 'added', origin, log })
    else if (formatJson(old) !== formatJson(log)) changes.push({ what: 'changed', origin, log, before: old })
  }
  for (const origin of was.keys()) if (!is.has(origin)) changes.push({ what: 'dropped', origin })
  return changes
}

function shown({ keys, url, apiKeyFile }: ListedLog): object {
  return { keys: keys.map(formatVerifierKey), url, apiKeyFile }
}
