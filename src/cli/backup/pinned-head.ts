import { equalBytes } from '../../bytes/bytes.ts'
import { decodeUtf8 } from '../../bytes/text.ts'
import { logPrefix } from '../../client/http-files.ts'
import type { LogFiles } from '../../client/log-files.ts'
import { Transport } from '../../client/transport.ts'
import { hasCode } from '../../errors.ts'
import { parseCheckpoint } from '../../note/checkpoint.ts'
import { parseGetSth } from '../../note/get-sth.ts'
import { parseNote } from '../../note/note.ts'
import type { SignedTreeHead } from '../../note/tree-head.ts'

/** A log that grows shows a checkpoint and a tree head of one size now and then; it is not waited for longer. */
const TRIES = 20
const MAX_STH_BYTES = 64 * 1024

/** The head of a log at one moment, not verified. */
export interface PinnedHead {
  readonly note: string
  /** Of the same size if the log let itself be caught at it; undefined for a log without RFC 6962's API. */
  readonly treeHead: SignedTreeHead | undefined
}

/** Asks a log for its checkpoint and its tree head until they are of one tree. @throws SteleError as `HttpFiles` */
export async function pinHead(
  url: string,
  files: LogFiles,
  headers: Readonly<Record<string, string>>,
): Promise<PinnedHead> {
  const transport = new Transport({ headers })
  for (let tries = 1; ; tries++) {
    const [note, treeHead] = await Promise.all([files.checkpoint(), readTreeHead(transport, url)])
    if (tries === TRIES || treeHead === undefined || isSameTree(note, treeHead)) return { note, treeHead }
  }
}

/** The same files under a checkpoint that stays what it is while the log grows. */
export function withCheckpoint(files: LogFiles, note: string): LogFiles {
  return {
    checkpoint: async () => note,
    tile: (level, index, width) => files.tile(level, index, width),
    bundle: (index, width) => files.bundle(index, width),
  }
}

function isSameTree(note: string, treeHead: SignedTreeHead): boolean {
  const { size, root } = parseCheckpoint(parseNote(note).text)
  return size === treeHead.size && equalBytes(root, treeHead.root)
}

async function readTreeHead(transport: Transport, url: string): Promise<SignedTreeHead | undefined> {
  try {
    const answer = await transport.ask(`${logPrefix(url)}ct/v1/get-sth`, {
      maxBytes: MAX_STH_BYTES,
      fresh: true,
    })
    return parseGetSth(JSON.parse(decodeUtf8(answer.body, 'get-sth')))
  } catch (error) {
    // A mirror, or any log that serves tiles alone: the tree head is re-signed when it is restored.
    if (hasCode(error, 'not_found', 'malformed', 'out_of_range', 'unexpected_answer')) return undefined
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
