import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

/** On every answer: browsers believe the content type, and tell nobody where they came from. */
export const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
} as const

/** On every answer that leaves through TLS: for a year browsers ask this host by https alone (RFC 6797). */
export const TLS_HEADERS = { 'strict-transport-security': 'max-age=31536000' } as const

/** True for a connection that ends its TLS here. RFC 6797 section 7.2: no other one may carry the header above. */
export function isEncrypted(socket: Socket): boolean {
  return (socket as Partial<TLSSocket>).encrypted === true
}

/** Bytes that a submitter chose must not become a page that runs in this origin. */
export const INERT_CONTENT = { 'content-security-policy': "default-src 'none'; sandbox" } as const

/** On every read route: monitors in a browser are welcome. There are no cookies that could be abused. */
export const CORS_HEADERS = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'etag, retry-after, stele-leaf-hash',
} as const

/**
 * The answer to a browser that asks before it sends these headers to a read route: those that are read here and that
 * browsers ask about. A "*" would not stand for `Authorization`.
 */
export const PREFLIGHT_HEADERS = {
  ...CORS_HEADERS,
  'access-control-allow-methods': 'GET, HEAD, OPTIONS',
  'access-control-allow-headers': 'authorization, if-none-match, x-request-id',
  'access-control-max-age': '86400',
} as const

/** What can be asked again any moment and may have changed. */
export const NO_CACHE = { 'cache-control': 'no-cache' } as const
/** What must not be remembered: a 404 may become a 200 a second later. */
export const NO_STORE = { 'cache-control': 'no-store' } as const
/** What never changes under its URL (c2sp.org/tlog-tiles asks for a week at least). */
export const IMMUTABLE = { 'cache-control': 'public, max-age=604800, immutable' } as const
/** A proof or a full page for explicit sizes: never changes, though few ask twice. */
export const FOR_A_DAY = { 'cache-control': 'public, max-age=86400' } as const
/** A page that was cut by the tree's end, and will be longer soon. */
export const FOR_SECONDS = { 'cache-control': 'public, max-age=2' } as const

/** Text that any tool shows as it is. */
export const PLAIN_TEXT = 'text/plain; charset=utf-8'
