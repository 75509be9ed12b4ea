import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { parseBase64, toBase64 } from '../../bytes/base64.ts'
import { toHex } from '../../bytes/hex.ts'
import { SteleError } from '../../errors.ts'
import { HASH_BYTES } from '../../merkle/hash.ts'
import { rebuildTree, type Tree } from '../../tile/grow.ts'
import { hashesAt } from '../../tile/layout.ts'
import { TILE_WIDTH } from '../../tile/path.ts'

const FORMAT = 'stele-audit/v1'
const schema = z.strictObject({
  format: z.literal(FORMAT),
  origin: z.string(),
  size: z.int().min(0),
  rootHash: z.string(),
  partialTiles: z.array(z.string()),
})

/** The tree at which an audit arrived, as text: its right edge, which is enough to continue. */
export function formatAuditState(origin: string, { size, root, edge }: Tree): string {
  const state = {
    format: FORMAT,
    origin,
    size,
    rootHash: toHex(root),
    partialTiles: edge.partials.map(toBase64),
  }
  return `${JSON.stringify(state, undefined, 2)}\n`
}

/**
 * Parses what {@link formatAuditState} wrote, and checks that it is consistent. An attacker who can write the file can
 * make an audit skip entries. But the audit then fails, because the tree must lead to the signed root hash.
 *
 * @throws SteleError `malformed`; `wrong_origin` for the state of another log
 */
export function parseAuditState(text: string, origin: string): Tree {
  const parsed = schema.safeParse(asJson(text))
  if (!parsed.success) throw malformed(parsed.error.issues[0]!.message)
  const { size, rootHash, partialTiles } = parsed.data
  if (parsed.data.origin !== origin) {
    throw new SteleError(
      'wrong_origin',
      `audit state: expected the state of ${origin}, got ${parsed.data.origin}`,
    )
  }
  const partials = partialTiles.map((tile) => parseBase64(tile, 'audit state'))
  const levels = Math.max(partials.length, Math.ceil(Math.log2(size + 1) / 8))
  for (let level = 0; level < levels; level++) {
    const width = (partials[level]?.length ?? 0) / HASH_BYTES
    if (width !== hashesAt(level, size) % TILE_WIDTH)
      throw malformed(`the tile of level ${level} does not fit the size`)
  }
  const tree = rebuildTree(size, partials)
  if (toHex(tree.root) !== rootHash) throw malformed('its tiles do not make its root hash')
  return tree
}

/** Reads the state file; undefined if there is none yet. @throws SteleError as {@link parseAuditState}; `io_error` */
export async function readAuditState(path: string, origin: string): Promise<Tree | undefined> {
  try {
    return parseAuditState(await readFile(path, 'utf8'), origin)
  } catch (error) {
    if (error instanceof SteleError)
      throw new SteleError(error.code, `${path}: ${error.message}`, { cause: error })
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new SteleError('io_error', `${path}: ${message}`, { cause: error })
  }
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', `audit state: ${message}`)
}
