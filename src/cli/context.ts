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

/** The options that every command has, as written on the command line. */
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

/** The trust options of a command that reads a log, as written, beside `--key` and `--rotations`. */
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
      'policy that its checkpoints must satisfy (c2sp.org/tlog-policy); without --key, it must list the log',
    )
}

/** The default data folder, relative to the working folder. */
export const DEFAULT_DATA = 'data'
/** The default log: the one that "stele start" serves on this machine. */
export const DEFAULT_URL = 'http://127.0.0.1:6962/logs/main'

/** How long a command retries while the log cannot be reached. A person is waiting for the result. */
export const PATIENCE_MS = 15_000

/** What a command works with: the environment, the output, and the log that the options name. */
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

  /** The data folder: flag, environment variable, or default. */
  get data(): string {
    return this.#options.data ?? this.#variable('STELE_DATA') ?? DEFAULT_DATA
  }

  /** The log's URL: flag, environment variable, or default. */
  get url(): string {
    return this.explicitUrl ?? DEFAULT_URL
  }

  /** The log's URL if one was given. */
  get explicitUrl(): string | undefined {
    return this.#options.url ?? this.#variable('STELE_URL')
  }

  /** The URL from a flag of this command. */
  get flagUrl(): string | undefined {
    return this.#options.url
  }

  /** The verifier key if one was given, as text or as a file that holds it. @throws SteleError `io_error` */
  get explicitKey(): string | undefined {
    const { keyFile } = this
    return keyFile === undefined ? this.#givenKey : keysOfFile(keyFile)
  }

  /** The file from which the verifier key is read. */
  get keyFile(): string | undefined {
    const given = this.#givenKey
    // A verifier key has its ID in the middle, so it cannot also be the name of a file.
    return given === undefined || /\+[0-9a-f]{8}\+/.test(given) || !existsSync(given) ? undefined : given
  }

  get #givenKey(): string | undefined {
    return this.#options.key ?? this.#variable('STELE_KEY')
  }

  /**
   * The API key for the server, if one was given. It comes from the environment or a file, since all users of a machine
   * can read its command lines.
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

  /** The API key that a flag of this command names. @throws SteleError as {@link apiKey} */
  async namedApiKey(): Promise<string | undefined> {
    const { apiKeyFile } = this.#options
    if (apiKeyFile === undefined) return undefined
    const { apiKeyOf } = await import('./files/secret-file.ts')
    return apiKeyOf(apiKeyFile, this.io)
  }

  /** The file of that API key. */
  get apiKeyFile(): string | undefined {
    return this.#options.apiKeyFile
  }

  /** The file of rotation statements, in which old keys of the log announce new ones. */
  get rotationsFile(): string | undefined {
    return this.#options.rotations
  }

  /** HTTP headers of requests to the server. */
  async headers(): Promise<Readonly<Record<string, string>>> {
    return bearer(await this.apiKey())
  }

  /**
   * HTTP headers of requests to copies of a log, which other operators may run. They contain an API key only if a flag
   * of this command names it. The key in the environment is for the operator's own server.
   *
   * @param targets those that are URLs are sent requests
   * @throws SteleError `io_error`; `usage` if the key would be sent to more than one server
   */
  async headersForCopies(
    targets: readonly (string | undefined)[],
  ): Promise<Readonly<Record<string, string>>> {
    const key = await this.namedApiKey()
    if (key !== undefined) checkOneServer(targets)
    return bearer(key)
  }

  /**
   * The trusted key of the log at a URL: the one given, or for a log on this machine the one in its data folder. Never
   * a key that the log itself serves.
   *
   * @throws SteleError `usage` if there is no key, or an invalid one
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
   * The trusted keys of a log: one of them, and those that `--rotations` leads to from it.
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
   * The keys and the policy by which a command with {@link addTrustOptions} verifies a log.
   *
   * @param url undefined for a folder, where only the given key is known
   * @param mirrors whether `--key` may be the key of a mirror whose copy is read; `--origin` then names the log
   * @throws SteleError `io_error`; `usage` if no key or several logs are named; the errors of an invalid policy
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

  /** The policy that `--policy` names. @throws SteleError `io_error`; the errors of an invalid policy */
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

  /** The keys of the log in a policy, if no key was given. @throws SteleError `usage` */
  #listedKeys(policy: Policy | undefined): VerifierKey[] | undefined {
    const listed = (policy?.logs ?? []).map(({ key }) => key)
    if (listed.length === 0 || this.explicitKey !== undefined) return undefined
    const { origin = listed[0]!.name } = this.command.opts<TrustOptions>()
    const keys = listed.filter(({ name }) => name === origin)
    const names = new Set(listed.map(({ name }) => name))
    if (keys.length > 0 && (names.size === 1 || this.command.opts<TrustOptions>().origin)) return keys
    throw new SteleError(
      'usage',
      `--policy: it lists ${[...names].join(', ')}; expected one of them as --origin`,
    )
  }

  /** The given key. @throws SteleError `usage` if there is none, or an invalid one */
  givenKey(): VerifierKey {
    if (this.explicitKey !== undefined) return parseKey(this.explicitKey)
    throw new SteleError('usage', "expected the log's verifier key, with --key or STELE_KEY")
  }

  /** An environment variable with an empty value counts as not set. */
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

/** The server of a log's URL; the URL itself if it names no log. */
export function serverOfLog(url: string): string {
  return url.replace(/\/logs\/[^/]+\/?$/, '').replace(/\/+$/, '')
}

function bearer(key: string | undefined): Readonly<Record<string, string>> {
  return key === undefined ? {} : { authorization: `Bearer ${key}` }
}

/** Verifier keys are separated by white space, in a file and on the command line. */
function keysOfFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
      .replace(/^\uFEFF/, '')
      .trim()
  } catch (error) {
    throw new SteleError('io_error', `${path}: ${(error as Error).message}`, { cause: error })
  }
}

/** An invalid key is a mistake of the caller, so its code is `usage`. */
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

/** For a log on this machine, the public key in the data folder. */
async function localKey(data: string, url: string): Promise<string | undefined> {
  const { hostname, pathname } = URL.canParse(url) ? new URL(url) : { hostname: '', pathname: '' }
  const name = /\/logs\/([^/]+)\/?$/.exec(pathname)?.[1]
  if (name === undefined || !['127.0.0.1', 'localhost', '[::1]'].includes(hostname)) return undefined
  if (!existsSync(join(data, 'stele.json'))) return undefined
  // Loaded only when needed: it loads LevelDB and more, which most commands do not use.
  const { readLogInfo } = await import('../instance/data-folder.ts')
  return (await readLogInfo(data, name)).verifierKey
}
