import type { IncomingMessage } from 'node:http'
import { clientAddress, hostNameOf, isLoopbackName, type AddressSet } from '../access/address.ts'
import {
  anonymous,
  covers,
  decide,
  needsCredentials,
  type Caller,
  type Decision,
  type LogAccess,
} from '../access/caller.ts'
import { KeyReader } from '../access/api-key.ts'
import { KeyRefused, type Keyring } from '../access/keyring.ts'
import type { Permission } from '../access/role.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { hasCode, SteleError } from '../errors.ts'
import type { LogDirectory } from '../instance/directory.ts'
import { noSuchLog } from '../instance/directory.ts'
import type { RequestRates } from './rates.ts'
import type { Incoming, Route } from './route.ts'

/** Authorizes every request before any work is done for it. */
export interface Gate {
  /** The client address of a request: trusted proxies are skipped. */
  addressOf(req: IncomingMessage): string
  /**
   * Authenticates and authorizes a request.
   *
   * @param address the result of `addressOf`
   * @returns the caller
   * @throws SteleError `unauthenticated`, `forbidden`, `rate_limited`, `identity_unavailable`; `not_found` for a log
   *   whose existence is hidden from the caller; as `Denied` when the caller was authenticated
   */
  admit(route: Route, call: Incoming, address: string): Caller | Promise<Caller>
  /**
   * Whether a caller learns why the server is not well. The reasons may hold sizes and URLs that only the operator
   * knows.
   *
   * @param caller undefined while the caller is unknown
   * @param log the log that the reason is about, if any
   */
  tells(caller: Caller | undefined, log?: LogAccess): boolean
  /** Whether a permission always needs credentials on this server, for every log. */
  needsCredentials(permission: Permission): boolean
}

/** A refusal of an authenticated caller. The audit trail names the caller. */
export class Denied extends SteleError {
  readonly caller: Caller

  constructor(caller: Caller, why: SteleError) {
    const { code, message, retryAfterSeconds, limit } = why
    super(code, message, {
      cause: why,
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
      ...(limit === undefined ? {} : { limit }),
    })
    this.caller = caller
  }
}

/** Authenticates the tokens of an identity provider. */
export interface TokenReader {
  /** @throws SteleError `unauthenticated`; `identity_unavailable` when the token cannot be checked */
  authenticate(token: string, address: string): Promise<Caller>
}

/** The parts of a gate. */
export interface GateParts {
  readonly logs: LogDirectory
  readonly keyring: Keyring
  readonly rates: RequestRates
  readonly tokens?: TokenReader | undefined
  /** True when metrics need no key. */
  readonly openMetrics?: boolean
  /**
   * Names accepted in `Host` by a server on loopback, besides loopback names and the hosts of the logs' origins. If
   * absent, every name is accepted.
   */
  readonly publicNames?: readonly string[] | undefined
  /** Proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies?: AddressSet | undefined
}

/**
 * The gate of a server: API keys, tokens, roles, rates. Invalid credentials are refused on every route, also on routes
 * that need none: a caller that sends credentials expects to be authenticated.
 */
export function createGate(parts: GateParts): Gate {
  const { logs, keyring, rates, tokens, trustedProxies, openMetrics = false } = parts
  const keys = new KeyReader()
  const checkHost = parts.publicNames ? hostCheck(logs, parts.publicNames) : () => undefined
  const addressOf = (req: IncomingMessage): string =>
    clientAddress(req.socket.remoteAddress ?? '', forwardedFor(req), trustedProxies)

  const decisionOn = (caller: Caller, permission: Permission, name: string | undefined): Decision => {
    if (name === undefined) return decide(caller, permission)
    const hosted = logs.get(name)
    // A log that does not exist is refused here too, not by its route. A caller that tries names finds no difference in
    // the answer, in the audit trail, or in the time it takes.
    return hosted ? decide(caller, permission, hosted) : 'absent'
  }

  const check = (route: Route, call: Incoming, caller: Caller): Caller => {
    const name = call.path['log']
    const permission = route.permissionOf?.(call.search) ?? route.permission
    if (openMetrics && permission === 'read_metrics') return caller
    switch (decisionOn(caller, permission, name)) {
      case 'allowed':
        checkPage(call.req, route, caller)
        return caller
      case 'absent':
        throw noSuchLog(name ?? '')
      case 'unauthenticated':
        throw new SteleError(
          'unauthenticated',
          `expected credentials: an API key, in the header Authorization behind the word Bearer${hint(permission)}`,
        )
      case 'forbidden':
        throw new SteleError('forbidden', forbidden(caller, permission, name))
    }
  }

  const letIn = (route: Route, call: Incoming, caller: Caller, own?: number): Caller => {
    try {
      rates.take(caller, own)
      return check(route, call, caller)
    } catch (error) {
      throw error instanceof SteleError ? new Denied(caller, error) : error
    }
  }

  /**
   * Every failed authentication counts as a guess. Guesses are slowed down by network; valid keys from the same network
   * are not.
   */
  const refuse = (error: unknown, address: string): never => {
    if (!hasCode(error, 'unauthenticated')) throw error
    let why: SteleError = error
    try {
      rates.countGuess(address)
    } catch (limited) {
      if (!(limited instanceof SteleError)) throw limited
      why = limited
    }
    throw error instanceof KeyRefused ? new Denied(error.caller, why) : why
  }

  const readBearer = (req: IncomingMessage, address: string): string | undefined => {
    try {
      return bearerOf(req)
    } catch (error) {
      return refuse(error, address)
    }
  }

  const holderOf = (credentials: string, { socket }: IncomingMessage, address: string): Holder => {
    try {
      return keyring.authenticate(keys.read(credentials, socket), address)
    } catch (error) {
      return refuse(error, address)
    }
  }

  return {
    addressOf,
    needsCredentials: (permission) => {
      if (permission === 'read_metrics') return !openMetrics
      return needsCredentials(
        permission,
        logs.list().some(({ openWrites }) => openWrites),
      )
    },
    tells: (caller, log) =>
      openMetrics || (caller?.grants.some((grant) => log === undefined || covers(grant, log)) ?? false),
    admit(route, call, address) {
      checkHost(call.req)
      const credentials = readBearer(call.req, address)
      if (credentials === undefined) return letIn(route, call, anonymous(address))
      if (tokens && !credentials.startsWith('st_')) {
        return tokens.authenticate(credentials, address).then(
          (caller) => letIn(route, call, caller),
          (error: unknown) => refuse(error, address),
        )
      }
      const { caller, record } = holderOf(credentials, call.req, address)
      return letIn(route, call, caller, record.requestsPerSecond)
    },
  }
}

type Holder = ReturnType<Keyring['authenticate']>

/** Authorizes everything: for servers that no other party can reach, and for servers with nothing to protect. */
export const OPEN_GATE: Gate = {
  addressOf: (req) => clientAddress(req.socket.remoteAddress ?? '', undefined, undefined),
  admit: (_route, _call, address) => anonymous(address),
  tells: () => true,
  needsCredentials: () => false,
}

/** How many accepted values of `Host` are remembered. */
const MOST_HOSTS = 100

/**
 * Prevents DNS rebinding. A name server can resolve the name of any web site to loopback, which gives a page of that
 * site the origin of a server that only this machine reaches. Such a request names the site in `Host`.
 *
 * @returns a check that throws SteleError `wrong_host` for a request whose header `Host` names another server
 */
function hostCheck(logs: LogDirectory, names: readonly string[]): (req: IncomingMessage) => void {
  const good = new Set<string>()
  const isOurs = (name: string): boolean =>
    isLoopbackName(name) ||
    names.includes(name) ||
    logs.list().some(({ origin }) => hostNameOf(origin.split('/', 1)[0]!) === name)
  return ({ headers: { host } }) => {
    // Browsers always send Host. A request without it is HTTP/1.0.
    if (host === undefined || good.has(host)) return
    const name = hostNameOf(host)
    if (name === undefined || !isOurs(name)) {
      throw new SteleError(
        'wrong_host',
        `Host: expected a name of this server, got ${excerpt(host)}. It listens on loopback; a name by which a proxy ` +
          'asks it is set with public-url',
      )
    }
    if (good.size < MOST_HOSTS) good.add(host)
  }
}

/**
 * Refuses appends by pages of other sites. A web page can make a visitor's browser send a POST to a server that only
 * that browser reaches. The page cannot add a key, so only routes that need none have to be protected. Browsers send
 * the origin of such a request.
 */
function checkPage({ headers }: IncomingMessage, { permission }: Route, { kind }: Caller): void {
  const { origin, host, 'sec-fetch-site': site } = headers
  if (permission !== 'append' || kind !== 'anonymous') return
  const isOwn = origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)
  if (isOwn && (site === undefined || site === 'same-origin' || site === 'none')) return
  throw new SteleError(
    'forbidden',
    `${isOwn ? 'Sec-Fetch-Site' : 'Origin'}: a page of another site cannot append without an API key`,
  )
}

/** The credentials of a request. None are read from the URL, since URLs end up in logs and browser histories. */
function bearerOf({ headers: { authorization } }: IncomingMessage): string | undefined {
  if (authorization === undefined) return undefined
  const [, token] = /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization) ?? []
  if (token !== undefined) return token
  throw new SteleError('unauthenticated', 'Authorization: expected "Bearer", a space, and an API key')
}

function forwardedFor({ headers }: IncomingMessage): string | undefined {
  const value = headers['x-forwarded-for']
  return Array.isArray(value) ? value.join(',') : value
}

/** Tells a caller without credentials which proofs are open. */
function hint(permission: Permission): string {
  if (permission !== 'read_proofs') return ''
  return (
    '. Of this log, consistency proofs are open where both sizes are 0 or a multiple of 256; between other sizes they ' +
    'hold leaf hashes, and take a key of the role monitor, writer, reader or auditor'
  )
}

function forbidden({ grants }: Caller, permission: Permission, log: string | undefined): string {
  const roles = [...new Set(grants.map(({ role }) => role))].join(', ')
  const got = roles === '' ? 'no role' : roles
  return `expected credentials that allow ${permission}${log === undefined ? '' : ` on log ${log}`}, got: ${got}${hint(permission)}`
}
