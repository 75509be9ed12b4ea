import { existsSync } from 'node:fs'
import { Turns } from '../bytes/turns.ts'
import { DEFAULT_PUBLIC_URL, originPrefix, originUnder, prefixOf } from '../config/public-url.ts'
import { hasCode, SteleError } from '../errors.ts'
import type { FreezeRequest } from '../log/lifecycle.ts'
import type { SignedHead } from '../log/head.ts'
import { checkKeyName } from '../note/key-id.ts'
import { META_LOG } from './access-files.ts'
import { changeAccess, checkVisibility, type Visibility } from './change-access.ts'
import { addKey, type KeyAlgorithm, type KeyChange, retireKey, rotateKey } from './change-keys.ts'
import { changeOwnPolicy, changePolicy, readPolicy } from './change-policy.ts'
import { hashOf, logPart } from './configuration.ts'
import { checkLogName, createLog, listLogs, logFiles, readLogInfo } from './data-folder.ts'
import type { HostedKey } from './directory.ts'
import type { Frozen } from './freeze.ts'
import { NEW_LOG, type NewLog } from './log-files.ts'
import { formatLogInfo, type LogInfo } from './log-info.ts'
import type { Administer, Announce } from './plan.ts'

/** The logs that are changed: those of a running server, or the files of logs that no process has open. */
export interface Works {
  /** Runs a task on the files of a log while the log is closed. */
  whileClosed<T>(name: string, task: () => Promise<T>): Promise<T>
  /** As `whileClosed`, for key changes, which are also reported as an event. */
  changeKeys(name: string, change: () => Promise<KeyChange>): Promise<KeyChange>
  freeze(name: string, request: FreezeRequest, announce: Announce): Promise<Frozen>
  /** Whether one more log can be served. @throws SteleError where it cannot */
  checkRoom?(): void
  /** Opens a log that was just made. */
  add(name: string): Promise<void>
}

/** A requested key change. */
interface WantedKey {
  /** ID of the key to replace, 8 hex digits; default: the first Ed25519 key that signs. */
  readonly keyId?: string | undefined
  readonly overlapSeconds?: number | undefined
}

/** The settings of a requested log. The default origin follows from the server's public URL. */
type AskedLog = Omit<NewLog, 'origin'> & { readonly origin?: string | undefined }

/** Acts on one log that may wait for each other. */
const MOST_WAITING = 16
/** The key under which acts that make logs take turns. No log has this name. */
const CREATING = ''

/**
 * All changes to logs, for the routes of a server and for commands on a folder. Each act is recorded in the meta log
 * before it is done. Acts on one log run one after another.
 */
export class Administration {
  readonly #folder: string
  readonly #administer: Administer
  readonly #works: Works
  readonly #publicUrl: string | undefined
  readonly #turns = new Turns(MOST_WAITING)

  /** @param parts `publicUrl`: the public URL of the server, if configured */
  constructor(parts: {
    readonly folder: string
    readonly administer: Administer
    readonly works: Works
    readonly publicUrl?: string
  }) {
    this.#publicUrl = parts.publicUrl
    this.#folder = parts.folder
    this.#administer = parts.administer
    this.#works = parts.works
  }

  /**
   * Makes a log. It is served at once.
   *
   * @throws SteleError `usage`, `already_exists` for a name or an origin that a log has; `untraceable`
   */
  createLog(by: string, asked: AskedLog): Promise<LogInfo> {
    return this.#act('log_create', by, asked.name, CREATING, async (announce) => {
      const wanted = { ...asked, origin: asked.origin ?? (await this.#originOf(asked.name)) }
      await this.#checkNew(wanted)
      const { origin, allowDuplicates, reads, heads } = { ...NEW_LOG, ...wanted }
      this.#works.checkRoom?.()
      const info = await createLog(this.#folder, wanted, Date.now(), (built) =>
        announce({
          before: null,
          after: { origin, verifierKey: built.verifierKey, allowDuplicates, reads, heads },
          parts: { [logPart(wanted.name)]: hashOf(formatLogInfo(built)) },
          placed: { index: 0, entries: 0 },
        }),
      )
      return info
    }).then(async (info) => {
      await this.#works.add(asked.name)
      return info
    })
  }

  /** Ends a log for ever. @throws SteleError as `freezeLog` */
  freeze(by: string, name: string, request: FreezeRequest): Promise<Frozen> {
    return this.#act('log_freeze', by, name, name, (announce) => {
      checkNotMeta(name, 'frozen: without it nothing more would be answered')
      return this.#works.freeze(name, request, announce)
    })
  }

  /** @throws SteleError as `addKey` */
  addKey(by: string, name: string, algorithm: KeyAlgorithm): Promise<KeyChange> {
    return this.#changeKeys('log_add_key', by, name, (announce) =>
      addKey(this.#folder, name, algorithm, { announce }),
    )
  }

  /** @throws SteleError as `rotateKey` */
  rotateKey(by: string, name: string, wanted: WantedKey): Promise<KeyChange> {
    return this.#changeKeys('log_rotate_key', by, name, (announce) =>
      rotateKey(this.#folder, name, { ...wanted, announce }),
    )
  }

  /** @throws SteleError as `retireKey` */
  retireKey(by: string, name: string, keyId: string, beforeOverlapEnds = false): Promise<KeyChange> {
    return this.#changeKeys('log_retire_key', by, name, (announce) =>
      retireKey(this.#folder, name, keyId, { beforeOverlapEnds, announce }),
    )
  }

  /** @throws SteleError as `changePolicy` */
  setPolicy(by: string, name: string, text: string | undefined): Promise<void> {
    return this.#act('log_set_policy', by, name, name, (announce) => {
      const whileClosed = (task: () => Promise<void>): Promise<void> => this.#works.whileClosed(name, task)
      return name === META_LOG
        ? changeOwnPolicy(this.#folder, name, text, { announce, whileClosed })
        : whileClosed(() => changePolicy(this.#folder, name, text, announce))
    })
  }

  /** The policy of a log; undefined: none. @throws SteleError `io_error` */
  policy(name: string): Promise<string | undefined> {
    return readPolicy(this.#folder, name)
  }

  /** @throws SteleError as `changeAccess` */
  setAccess(by: string, name: string, wanted: Partial<Visibility>): Promise<Visibility> {
    return this.#act('log_set_access', by, name, name, (announce) => {
      checkNotMeta(name, 'read by callers other than auditors')
      return this.#works.whileClosed(name, () => changeAccess(this.#folder, name, wanted, announce))
    })
  }

  #changeKeys(
    act: string,
    by: string,
    name: string,
    change: (announce: Announce) => Promise<KeyChange>,
  ): Promise<KeyChange> {
    return this.#act(act, by, name, name, (announce) => this.#works.changeKeys(name, () => change(announce)))
  }

  #act<T>(
    act: string,
    by: string,
    log: string,
    turn: string,
    task: (announce: Announce) => Promise<T>,
  ): Promise<T> {
    return this.#turns.take(turn, () => this.#administer({ act, by, log }, task))
  }

  /** The public URL without its scheme, and the name. Without a public URL, derived from the meta log's origin. */
  async #originOf(name: string): Promise<string> {
    checkLogName(name)
    if (this.#publicUrl) return originUnder(originPrefix(this.#publicUrl, 'public-url'), name)
    const meta = await readLogInfo(this.#folder, META_LOG).catch((error: unknown) => {
      if (!hasCode(error, 'not_found')) throw error
    })
    const prefix = meta ? prefixOf(meta.origin, META_LOG) : originPrefix(DEFAULT_PUBLIC_URL, 'default')
    if (prefix !== undefined) return originUnder(prefix, name)
    throw new SteleError(
      'usage',
      'origin: expected one ("--origin"), or public-url in the configuration of the server, of which it is made',
    )
  }

  async #checkNew(wanted: NewLog): Promise<void> {
    const folder = this.#folder
    const { name, origin, reads, heads } = { ...NEW_LOG, ...wanted }
    checkLogName(name)
    checkNotMeta(name, 'made: "stele access init" does that')
    checkKeyName(origin, 'origin')
    checkVisibility({ reads, heads })
    if (existsSync(logFiles(folder, name).folder)) throw exists(`log ${name}: it exists already`)
    for (const other of await listLogs(folder)) {
      // Two logs with one origin would be two histories of one log: a reader that follows it would see a fork.
      const found = await readLogInfo(folder, other).catch(() => undefined)
      if (found?.origin === origin) throw exists(`origin ${origin}: it is that of the log "${other}"`)
    }
  }
}

/** Refuses a change that would leave the server without an audit trail. */
function checkNotMeta(name: string, what: string): void {
  if (name === META_LOG) throw new SteleError('usage', `the meta log cannot be ${what}`)
}

function exists(message: string): SteleError {
  return new SteleError('already_exists', `${message}; nothing was changed`)
}

/** The settings of a requested log. */
interface WantedLog {
  readonly name: string
  /** The default follows from the server's public URL. */
  readonly origin?: string | undefined
  readonly allowDuplicates: boolean
  readonly reads: 'public' | 'private'
  readonly heads: 'open' | 'closed'
}

/** A key that was added to a log, or retired. */
export interface ChangedKey {
  readonly key: HostedKey
  /** Signed notes: the statements in which old keys name the new one. */
  readonly statements: readonly string[]
}

/**
 * Changes the logs of an instance. Each method records the planned change and its author before it changes anything,
 * and throws `untraceable` when it cannot record them. Callers are authorized before.
 */
export interface LogAdministration {
  /** The log exists and is served once this resolves. */
  createLog(by: string, wanted: WantedLog): Promise<unknown>
  freeze(by: string, name: string, request: FreezeRequest): Promise<{ head: SignedHead; published: boolean }>
  addKey(by: string, name: string, algorithm: 'ed25519' | 'ml-dsa-44'): Promise<ChangedKey>
  rotateKey(
    by: string,
    name: string,
    wanted: { readonly keyId?: string | undefined; readonly overlapSeconds?: number | undefined },
  ): Promise<ChangedKey>
  retireKey(by: string, name: string, keyId: string, beforeOverlapEnds: boolean): Promise<ChangedKey>
  /** @param text undefined: the log no longer waits for witnesses */
  setPolicy(by: string, name: string, text: string | undefined): Promise<void>
  policy(name: string): Promise<string | undefined>
  setAccess(
    by: string,
    name: string,
    wanted: { readonly reads?: 'public' | 'private'; readonly heads?: 'open' | 'closed' },
  ): Promise<{ readonly reads: 'public' | 'private' | 'meta'; readonly heads: 'open' | 'closed' }>
}
