import { HttpFiles } from '../../client/http-files.ts'
import { nodeWire, type Encoding } from '../../client/wire-node.ts'
import { PATIENCE_MS } from '../context.ts'

/**
 * The files of a served log, for commands that read the whole log.
 *
 * @param encoding of bundles; default: {@link encodingFor} the URL
 * @throws SteleError `usage` for a URL that is not a log's
 */
export function servedFiles(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  encoding: Encoding = encodingFor(url),
): HttpFiles {
  return new HttpFiles(url, { headers, wire: nodeWire(encoding) }, { deadlineMs: PATIENCE_MS })
}

/**
 * Compressing 100 kB costs the server about 3 ms, and saves two thirds or more for text. That pays off over a network
 * of unknown speed, but not within one machine.
 */
export function encodingFor(url: string): Encoding {
  const hostname = URL.canParse(url) ? new URL(url).hostname : ''
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname) ? 'identity' : 'gzip'
}
