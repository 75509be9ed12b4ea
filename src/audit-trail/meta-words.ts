import type { Caller } from '../access/caller.ts'
import { redact } from '../access/redact.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Incoming } from '../http/route.ts'

/** Of a request's target, this many characters are shown. */
const SHOWN_LENGTH = 512

/** A request's target without its secrets, and not too long. */
export function shownTarget(url: string): string {
  return redact(url).slice(0, SHOWN_LENGTH)
}

/** The beginning of a text, of at most so many bytes as a string of JSON, its quotes left out. */
export function within(text: string, bytes: number): string {
  let shown = text.slice(0, bytes)
  while (Buffer.byteLength(JSON.stringify(shown)) - 2 > bytes) shown = shown.slice(0, -1)
  return shown
}

export function routeOf({ route, call }: Exchange): string {
  return `${call.req.method ?? ''} ${route.path}`
}

/** As it came: whoever is denied can have named any log. */
export function logOf({ path }: Incoming): string | undefined {
  const log = path['log']
  return log === undefined ? undefined : redact(log).slice(0, 64)
}

export function rolesOf({ grants }: Caller): string {
  if (grants.length === 1) return grants[0]!.role
  return [...new Set(grants.map(({ role }) => role))].join('+')
}

/** Bytes of a body. */
export function lengthOf(body: string | { readonly length: number } | undefined): number {
  if (body === undefined) return 0
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length
}
