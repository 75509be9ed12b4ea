import { isLoopbackName } from '../access/address.ts'
import { SteleError } from '../errors.ts'

/*
 * The origin of a log is its public URL without the scheme: the server's public host and path, "/logs/" and the name.
 * It is the first line of every checkpoint and the name of the log's key, so it can never change.
 */

/** The public URL if none is given: this machine, on the default port. */
export const DEFAULT_PUBLIC_URL = 'http://localhost:6962'

/**
 * The prefix of the origins of a server's logs.
 *
 * @param what names the URL in the error message
 * @throws SteleError `usage` unless the URL is `http(s)://<host>` with an optional path
 */
export function originPrefix(publicUrl: string, what: string): string {
  const url = URL.canParse(publicUrl) ? new URL(publicUrl) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username) {
    throw new SteleError('usage', `${what}: expected http(s)://<host>, and a path if there is one`)
  }
  return url.host + url.pathname.replace(/\/+$/, '')
}

/** The origin of a log under this prefix. */
export function originUnder(prefix: string, name: string): string {
  return `${prefix}/logs/${name}`
}

/** The prefix of an origin made by {@link originUnder}; undefined for an origin of another form. */
export function prefixOf(origin: string, name: string): string | undefined {
  const end = originUnder('', name)
  return origin.endsWith(end) ? origin.slice(0, -end.length) : undefined
}

/** Whether an origin names the local machine, so that other machines could use the same origin. */
export function isLoopbackOrigin(origin: string): boolean {
  const url = `http://${origin}`
  return URL.canParse(url) && isLoopbackName(new URL(url).hostname.replace(/^\[|\]$/g, ''))
}
