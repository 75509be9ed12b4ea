import type { IncomingMessage } from 'node:http'
import { clientAddress, type AddressSet } from '../access/address.ts'
import { anonymous, decide, type Caller } from '../access/caller.ts'
import type { Keyring } from '../access/keyring.ts'
import { SteleError } from '../errors.ts'
import type { LogDirectory } from './directory.ts'
import { noSuchLog } from './directory.ts'
import type { RequestRates } from './rates.ts'
import type { Incoming, Route } from './route.ts'

/** Decides about every request, before anything is done for it. */
export interface Gate {
  /** Where a request comes from, proxies that are trusted left out. */
  addressOf(req: IncomingMessage): string
  /**
   * Who sends a request, if they may.
   *
   * @throws SteleError `unauthenticated`, `forbidden`, `rate_limited`; `not_found` for a log that they may not know of
   */
  admit(route: Route, call: Incoming): Caller | Promise<Caller>
}

/** Reads the tokens of people who were authenticated elsewhere. */
export interface TokenReader {
  /** @throws SteleError `unauthenticated` */
  authenticate(token: string, address: string): Promise<Caller>
}

/** What a gate is made of. */
export interface GateParts {
  readonly logs: LogDirectory
  readonly keyring: Keyring
  readonly rates: RequestRates
  readonly tokens?: TokenReader | undefined
  /** Metrics take no key. */
  readonly openMetrics?: boolean
  /** Proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies?: AddressSet | undefined
}

/**
 * The gate of a server: API keys, tokens, roles, rates. Credentials that are not valid are refused on every route, also
 * where none are needed: whoever sends some means to be known.
 */
export function createGate(parts: GateParts): Gate {
  const { logs, keyring, rates, tokens, trustedProxies, openMetrics = false } = parts
  const addressOf = (req: IncomingMessage): string =>
    clientAddress(req.socket.remoteAddress ?? '', forwardedFor(req), trustedProxies)

  const check = (route: Route, call: Incoming, caller: Caller): Caller => {
    const name = call.path['log']
    const hosted = name === undefined ? undefined : logs.get(name)
    // A log that is not there has nothing to protect, and its route says so.
    if (name !== undefined && !hosted) return caller
    if (openMetrics && route.permission === 'read_metrics') return caller
    checkPage(call.req, route, caller)
    switch (decide(caller, route.permission, hosted)) {
      case 'allowed':
        return caller
      case 'absent':
        throw noSuchLog(name ?? '')
      case 'unauthenticated':
        throw new SteleError(
          'unauthenticated',
          'expected credentials: an API key, sent as "Authorization: Bearer st_..."',
        )
      case 'forbidden':
        throw new SteleError('forbidden', forbidden(caller, route, name))
    }
  }

  return {
    addressOf,
    admit(route, call) {
      const address = addressOf(call.req)
      const credentials = bearerOf(call.req)
      if (credentials === undefined) {
        const caller = anonymous(address)
        rates.take(caller)
        return check(route, call, caller)
      }
      const refused = (error: unknown): never => {
        // Whoever guesses is slowed down; whoever comes from the same network with the right key is not.
        if (error instanceof SteleError && error.code === 'unauthenticated') rates.countGuess(address)
        throw error
      }
      if (tokens && !credentials.startsWith('st_')) {
        return tokens.authenticate(credentials, address).then((caller) => {
          rates.take(caller)
          return check(route, call, caller)
        }, refused)
      }
      const { caller, record } = authenticated(keyring, credentials, address, refused)
      rates.take(caller, record.requestsPerSecond)
      return check(route, call, caller)
    },
  }
}

function authenticated(
  keyring: Keyring,
  credentials: string,
  address: string,
  refused: (error: unknown) => never,
): ReturnType<Keyring['authenticate']> {
  try {
    return keyring.authenticate(credentials, address)
  } catch (error) {
    return refused(error)
  }
}

/** A gate that is open: for what is reached by nobody else, and for servers that have nothing to protect. */
export const OPEN_GATE: Gate = {
  addressOf: (req) => clientAddress(req.socket.remoteAddress ?? '', undefined, undefined),
  admit: (_, { req }) => anonymous(OPEN_GATE.addressOf(req)),
}

/**
 * A web page can make the browser of whoever looks at it send a POST to a server that only that browser reaches. It
 * cannot send a key with it, so only what takes none has to be refused.
 */
function checkPage({ headers }: IncomingMessage, { permission }: Route, { kind }: Caller): void {
  const { origin, host } = headers
  if (permission !== 'append' || kind !== 'anonymous' || origin === undefined) return
  if (URL.canParse(origin) && new URL(origin).host === host) return
  throw new SteleError('forbidden', 'Origin: a page of another site cannot append without an API key')
}

/** The credentials of a request. Those in a URL would end in logs and histories, so none are read there. */
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

function forbidden({ grants }: Caller, { permission }: Route, log: string | undefined): string {
  const roles = [...new Set(grants.map(({ role }) => role))].join(', ')
  return `expected credentials that allow ${permission}${log === undefined ? '' : ` on log ${log}`}, got: ${roles}`
}
