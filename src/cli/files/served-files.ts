import { HttpFiles } from '../../client/http-files.ts'
import { nodeWire, type Encoding } from '../../client/wire-node.ts'
import { PATIENCE_MS } from '../context.ts'

/**
 * The files of a served log, for commands that read all of it.
 *
 * @param encoding how bundles are asked for; by default {@link encodingFor} the URL
 * @throws SteleError `usage` for what is not the URL of a log
 */
export function servedFiles(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  encoding: Encoding = encodingFor(url),
): HttpFiles {
  return new HttpFiles(url, { headers, wire: nodeWire(encoding) }, { deadlineMs: PATIENCE_MS })
}

/**
 * Who pays: compressing costs the server some 3 ms for 100 kB and takes two thirds or more off text. On a way to another
 * machine that is right as long as nobody knows how fast it is. Within one machine it buys nothing.
 */
export function encodingFor(url: string): Encoding {
  const hostname = URL.canParse(url) ? new URL(url).hostname : ''
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname) ? 'identity' : 'gzip'
}
