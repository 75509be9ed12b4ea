import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

/** On every answer: browsers must not guess the content type, and send no referrer. */
export const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
} as const

/** On every answer over TLS: for a year browsers use only https for this host (RFC 6797). */
export const TLS_HEADERS = { 'strict-transport-security': 'max-age=31536000' } as const

/** True for a connection whose TLS ends here. RFC 6797 section 7.2: the header above is sent on no other. */
export function isEncrypted(socket: Socket): boolean {
  return (socket as Partial<TLSSocket>).encrypted === true
}

/** Bytes that a submitter chose must not run as a page of this origin. */
export const INERT_CONTENT = { 'content-security-policy': "default-src 'none'; sandbox" } as const

/** On every read route: monitors in a browser may read. There are no cookies to abuse. */
export const CORS_HEADERS = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'etag, retry-after, stele-leaf-hash',
} as const

/**
 * The preflight answer of a read route: the request headers that the route reads and that browsers ask about. A "*"
 * would not cover `Authorization`.
 */
export const PREFLIGHT_HEADERS = {
  ...CORS_HEADERS,
  'access-control-allow-methods': 'GET, HEAD, OPTIONS',
  'access-control-allow-headers': 'authorization, if-none-match, x-request-id',
  'access-control-max-age': '86400',
} as const

/** For answers that may change at any time: caches must revalidate. */
export const NO_CACHE = { 'cache-control': 'no-cache' } as const
/** For answers that must not be cached: a 404 may become a 200 a second later. */
export const NO_STORE = { 'cache-control': 'no-store' } as const
/** For answers that never change under their URL (c2sp.org/tlog-tiles asks for a week at least). */
export const IMMUTABLE = { 'cache-control': 'public, max-age=604800, immutable' } as const
/** A proof or a full page for explicit sizes: never changes, but is seldom asked for twice. */
export const FOR_A_DAY = { 'cache-control': 'public, max-age=86400' } as const
/** A page cut by the end of the tree, which will soon be longer. */
export const FOR_SECONDS = { 'cache-control': 'public, max-age=2' } as const

/** Text that any tool displays unchanged. */
export const PLAIN_TEXT = 'text/plain; charset=utf-8'
