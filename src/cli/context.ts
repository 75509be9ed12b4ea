import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { hasCode, SteleError } from '../errors.ts'
import type { LogClient, LogClientOptions } from '../client/index.ts'
import { checkLogKeys } from '../note/checkpoint.ts'
import { KEY_TYPE } from '../note/key-id.ts'
import { parseVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import type { Trust } from '../policy/evaluate.ts'
import { parsePolicy } from '../policy/parse.ts'
import type { Policy } from '../policy/policy.ts'
import { checkOneServer } from './files/secret-file.ts'
import type { Io } from './io.ts'
import { Terminal } from './output/terminal.ts'

/** The options that every command has, as they were written. */
export interface GlobalOptions {
  readonly data?: string
  readonly url?: string
  readonly key?: string
  readonly apiKeyFile?: string
  readonly rotations?: string
  readonly json?: boolean
  readonly quiet?: boolean
  readonly color?: boolean
}

/** Whom a command believes about the log that it reads, as it was written, beside `--key` and `--rotations`. */
export interface TrustOptions {
  readonly origin?: string
  readonly policy?: string
}

/** The options of commands that read a log. */
export function addTrustOptions(command: Command): Command {
  return command
    .option('--origin <text>', 'first line of its checkpoints (default: the name of the key)')
    .option(
      '--policy <file>',
      'whose cosignatures its checkpoints must carry (c2sp.org/tlog-policy); without --key, a log of that file is meant',
    )
}

/** The data folder if nobody names one, from the working folder on. */
export const DEFAULT_DATA = 'data'
/** The log if nobody names one: that of "stele start" on this machine. */
export const DEFAULT_URL = 'http://127.0.0.1:6962/logs/main'

/** How long a command goes on while the log cannot be reached: somebody sits before it and waits. */
export const PATIENCE_MS = 15_000

/** What a command works with: the world, how to speak, and which log is meant. */
export class Context {
  readonly io: Io
  readonly terminal: Terminal
  readonly command: Command
  readonly #options: GlobalOptions

  constructor(io: Io, command: Command) {
    this.io = io
    this.command = command
    this.#options = command.optsWithGlobals()
    const { json = false, quiet = false, color = true } = this.#options
    this.terminal = new Terminal(io, { json, quiet, color })
  }

  /** The data folder: flag, environment, default. */
  get data(): string {
    return this.#options.data ?? this.#variable('STELE_DATA') ?? DEFAULT_DATA
  }

  /** The log's URL: flag, environment, default. */
  get url(): string {
    return this.explicitUrl ?? DEFAULT_URL
  }

  /** The log's URL if somebody gave one. */
  get explicitUrl(): string | undefined {
    return this.#options.url ?? this.#variable('STELE_URL')
  }

  /** The URL as a flag of this very command. */
  get flagUrl(): string | undefined {
    return this.#options.url
  }

  /** The verifier key if somebody gave one, as a text or as a file that holds it. @throws SteleError `io_error` */
  get explicitKey(): string | undefined {
    const { keyFile } = this
    return keyFile === undefined ? this.#givenKey : keysOfFile(keyFile)
  }

  /** The file that the verifier key was given as. */
  get keyFile(): string | undefined {
    const given = this.#givenKey
    // A key has its ID in the middle, and may not be the name of a file as well.
    return given === undefined || /\+[0-9a-f]{8}\+/.test(given) || !existsSync(given) ? undefined : given
  }

  get #givenKey(): string | undefined {
    return this.#options.key ?? this.#variable('STELE_KEY')
  }

  /**
   * Credentials for the server, if somebody gave some: from the environment or a file, since a command line can be read
   * by everybody on the machine.
   *
   * @throws SteleError `io_error`, `key_permissions`, `usage`
   */
  async apiKey(): Promise<string | undefined> {
    const named = await this.namedApiKey()
    const own = this.#variable('STELE_API_KEY')
    if (named !== undefined || own === undefined) return named
    const { checkedApiKey } = await import('../access/api-key-file.ts')
    return checkedApiKey(own, 'STELE_API_KEY')
  }

  /** Credentials that a flag of this very command names. @throws SteleError as {@link apiKey} */
  async namedApiKey(): Promise<string | undefined> {
    const { apiKeyFile } = this.#options
    if (apiKeyFile === undefined) return undefined
    const { apiKeyOf } = await import('./files/secret-file.ts')
    return apiKeyOf(apiKeyFile, this.io)
  }

  /** The file of such credentials. */
  get apiKeyFile(): string | undefined {
    return this.#options.apiKeyFile
  }

  /** What old keys of the log say of new ones: the file that was named for it. */
  get rotationsFile(): string | undefined {
    return this.#options.rotations
  }

  /** What requests to the server carry. */
  async headers(): Promise<Readonly<Record<string, string>>> {
    return bearer(await this.apiKey())
  }

  /**
   * What requests to copies of a log carry, which may be anybody's: credentials only if a flag of this very command
   * names them. Those of the environment are for the operator's own server.
   *
   * @param targets whatever may be a URL among them is asked
   * @throws SteleError `io_error`; `usage` for credentials that more than one server would be shown
   */
  async headersForCopies(
    targets: readonly (string | undefined)[],
  ): Promise<Readonly<Record<string, string>>> {
    const key = await this.namedApiKey()
    if (key !== undefined) checkOneServer(targets)
    return bearer(key)
  }

  /**
   * The key that the log of a URL is believed by: the one given, or for a log on this machine the one of its data
   * folder. Never one that the log itself announces.
   *
   * @throws SteleError `usage` when there is none, or for one that is none
   */
  async keyFor(url: string): Promise<VerifierKey> {
    const key = this.explicitKey ?? (await localKey(this.data, url))
    if (key !== undefined) return parseKey(key)
    const name = /\/logs\/([^/]+)\/?$/.exec(url)?.[1] ?? '<name>'
    throw new SteleError(
      'usage',
      `${url}: expected the log's verifier key, with --key or STELE_KEY. Get it from the log's operator ` +
        `("${this.io.calledAs} log show ${name}" prints it), not from the log itself`,
    )
  }

  /**
   * The keys that a log is believed by: one of them, and those that `--rotations` leads to from it.
   *
   * @throws SteleError `io_error`; as `followRotations`
   */
  async following(
    keys: VerifierKey | readonly VerifierKey[],
    origin?: string,
  ): Promise<readonly VerifierKey[]> {
    const verifiers = [keys].flat()
    if (this.rotationsFile === undefined) return verifiers
    const { trustedKeys } = await import('./files/rotations.ts')
    return trustedKeys(this.io, { origin: origin ?? verifiers[0]!.name, verifiers }, this.rotationsFile)
  }

  /**
   * Whom a command with {@link addTrustOptions} believes about a log.
   *
   * @param url undefined for a folder, where no other key than the one given is known
   * @param mirrors whether `--key` may be that of the mirror whose copy is read: then `--origin` says of which log
   * @throws SteleError `io_error`; `usage` where no key or several logs are named; what is wrong with the policy
   */
  async trust(url?: string, { mirrors = false } = {}): Promise<Trust> {
    const { origin } = this.command.opts<TrustOptions>()
    const policy = await this.policy()
    const pinned = this.#listedKeys(policy) ?? [url === undefined ? this.givenKey() : await this.keyFor(url)]
    const named = origin ?? pinned[0]!.name
    const ofMirror = mirrors && pinned.every(({ type }) => type === KEY_TYPE.ed25519Cosignature)
    if (!ofMirror) checkLogKeys(pinned)
    else if (origin === undefined || policy || this.rotationsFile !== undefined) {
      throw new SteleError(
        'usage',
        `--key: ${pinned[0]!.name} is the key of a witness or a mirror (type 0x04). To read the copy that a mirror ` +
          `serves, name the log with --origin, without --policy and --rotations; else give the log's own key`,
      )
    }
    return { origin: named, verifiers: await this.following(pinned, named), policy, ofMirror }
  }

  /** What `--policy` names. @throws SteleError `io_error`; what is wrong with it */
  async policy(): Promise<Policy | undefined> {
    const { policy: file } = this.command.opts<TrustOptions>()
    if (file === undefined) return undefined
    const [{ readInput }, { inFile }] = await Promise.all([
      import('./files/input.ts'),
      import('../storage/files.ts'),
    ])
    const text = await readInput(file, this.io)
    return inFile(file, () => parsePolicy(text))
  }

  /** The keys that a policy lists, where it lists a log and no key was given. @throws SteleError `usage` */
  #listedKeys(policy: Policy | undefined): VerifierKey[] | undefined {
    const listed = (policy?.logs ?? []).map(({ key }) => key)
    if (listed.length === 0 || this.explicitKey !== undefined) return undefined
    const { origin = listed[0]!.name } = this.command.opts<TrustOptions>()
    const keys = listed.filter(({ name }) => name === origin)
    const names = new Set(listed.map(({ name }) => name))
    if (keys.length > 0 && (names.size === 1 || this.command.opts<TrustOptions>().origin)) return keys
    throw new SteleError(
      'usage',
      `--policy: lists ${[...names].join(', ')}: expected one of them as --origin`,
    )
  }

  /** The key that was given. @throws SteleError `usage` when there is none, or for one that is none */
  givenKey(): VerifierKey {
    if (this.explicitKey !== undefined) return parseKey(this.explicitKey)
    throw new SteleError('usage', "expected the log's verifier key, with --key or STELE_KEY")
  }

  /** An environment variable that is set to nothing counts as not set. */
  #variable(name: string): string | undefined {
    return this.io.env[name] || undefined
  }

  /** A verifying client of the log that the options name. @throws SteleError as {@link trust} */
  async openLog(more: Partial<LogClientOptions> = {}): Promise<LogClient> {
    const { openLogClient } = await import('../client/index.ts')
    const { origin, verifiers, policy } = await this.trust(this.url)
    return openLogClient({
      url: this.url,
      verifierKey: verifiers,
      origin,
      policy,
      deadlineMs: PATIENCE_MS,
      apiKey: await this.apiKey(),
      ...more,
    })
  }
}

/** The server that a log of this URL is on: the URL itself where no log is named. */
export function serverOfLog(url: string): string {
  return url.replace(/\/logs\/[^/]+\/?$/, '').replace(/\/+$/, '')
}

function bearer(key: string | undefined): Readonly<Record<string, string>> {
  return key === undefined ? {} : { authorization: `Bearer ${key}` }
}

/** Verifier keys are separated by white space, in a file as on the command line; what an editor adds does not matter. */
function keysOfFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
      .replace(/^\uFEFF/, '')
      .trim()
  } catch (error) {
    throw new SteleError('io_error', `${path}: ${(error as Error).message}`, { cause: error })
  }
}

/** A key that cannot be read is a mistake of the caller's, unlike a proof that cannot be read. */
function parseKey(text: string): VerifierKey {
  const count = text.trim().split(/\s+/).length
  if (count > 1) throw new SteleError('usage', `--key: expected one verifier key, got ${count}`)
  try {
    return parseVerifierKey(text.trim())
  } catch (error) {
    if (!hasCode(error, 'malformed')) throw error
    const message = `--key: expected a verifier key, or a file that holds one: ${error.message}`
    throw new SteleError('usage', message, { cause: error })
  }
}

/** A log on this machine is served from a folder of this machine; its public key stands there. */
async function localKey(data: string, url: string): Promise<string | undefined> {
  const { hostname, pathname } = URL.canParse(url) ? new URL(url) : { hostname: '', pathname: '' }
  const name = /\/logs\/([^/]+)\/?$/.exec(pathname)?.[1]
  if (name === undefined || !['127.0.0.1', 'localhost', '[::1]'].includes(hostname)) return undefined
  if (!existsSync(join(data, 'stele.json'))) return undefined
  // Not at the top: it brings LevelDB and more, and most commands do without.
  const { readLogInfo } = await import('../instance/data-folder.ts')
  return (await readLogInfo(data, name)).verifierKey
}
