import { isLoopbackName } from '../access/address.ts'
import { SteleError } from '../errors.ts'

/*
 * The origin of a log is its public URL without the scheme: what others reach the server by, "/logs/" and the name. It is
 * the first line of every checkpoint and the name of the log's key, so it can never be changed.
 */

/** Where a server is expected that nobody said anything about: on this machine. */
export const DEFAULT_PUBLIC_URL = 'http://localhost:6962'

/**
 * What the origins of a server's logs begin with.
 *
 * @param what names the URL in the error message
 * @throws SteleError `usage` for what is no `http(s)://<host>`, with a path if there is one
 */
export function originPrefix(publicUrl: string, what: string): string {
  const url = URL.canParse(publicUrl) ? new URL(publicUrl) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username) {
    throw new SteleError('usage', `${what}: expected http(s)://<host>, and a path if there is one`)
  }
  return url.host + url.pathname.replace(/\/+$/, '')
}

/** The origin of a log under such a prefix. */
export function originUnder(prefix: string, name: string): string {
  return `${prefix}/logs/${name}`
}

/** The prefix of an origin that was made by {@link originUnder}; undefined for one that somebody chose otherwise. */
export function prefixOf(origin: string, name: string): string | undefined {
  const end = originUnder('', name)
  return origin.endsWith(end) ? origin.slice(0, -end.length) : undefined
}

/** Whether an origin names this machine alone, so that nobody else could say which log it is. */
export function isLoopbackOrigin(origin: string): boolean {
  const url = `http://${origin}`
  return URL.canParse(url) && isLoopbackName(new URL(url).hostname.replace(/^\[|\]$/g, ''))
}
