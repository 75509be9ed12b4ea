import { concatBytes } from '../../bytes/bytes.ts'
import type { LogFiles } from '../../client/http-files.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { decodeHead, type SignedHead } from '../../log/head.ts'
import { HASH_BYTES, leafHash, type Hash } from '../../merkle/hash.ts'
import { parseVerifierKey } from '../../note/key.ts'
import type { VerifierKey } from '../../note/note.ts'
import { headFilePath, logFiles, readLogInfo, type LogInfo } from '../../instance/data-folder.ts'
import { acknowledgedSize } from '../../instance/stored-head.ts'
import { headVerifier } from '../../instance/keys.ts'
import { LevelStore } from '../../storage/level.ts'
import type { LogStore } from '../../storage/store.ts'
import { encodeBundle } from '../../tile/bundle.ts'
import { TileHashes } from '../../tile/hashes.ts'

/**
 * Opens a log of a data folder read-only: no private key is read, nothing is signed or committed. LevelDB's lock
 * prevents a server from opening it at the same time.
 */
export class StoredLog {
  readonly info: LogInfo
  readonly name: string
  /** The first key that signs. */
  readonly verifier: VerifierKey
  /** All keys that ever signed, for verifying older heads. */
  readonly everyVerifier: readonly VerifierKey[]
  readonly store: LevelStore
  /** The newest signed head of the database. Its form is checked, its signatures are not. */
  readonly unverifiedHead: SignedHead
  /** The same log as tiles and bundles. */
  readonly files: LogFiles

  private constructor(name: string, info: LogInfo, store: LevelStore, head: SignedHead) {
    this.name = name
    this.info = info
    this.verifier = parseVerifierKey(info.verifierKey)
    this.everyVerifier = info.keys.map(({ verifierKey }) => parseVerifierKey(verifierKey))
    this.store = store
    this.unverifiedHead = head
    this.files = storedFiles(store, head)
  }

  /**
   * @param options.salvage opens a damaged database for repair, as `LevelStore.open`
   * @throws SteleError `locked` with advice; `not_found`, `not_initialised`, `corrupt`, `io_error`
   */
  static async open(
    folder: string,
    name: string,
    options: { readonly salvage?: boolean } = {},
  ): Promise<StoredLog> {
    const info = await readLogInfo(folder, name)
    const { database } = logFiles(folder, name)
    const acknowledged = await acknowledgedSize(headFilePath(folder, name, info))
    const store = await LevelStore.open(database, { ...options, acknowledged }).catch((error: unknown) => {
      throw hasCode(error, 'locked') ? lockedError(name, error) : error
    })
    try {
      const stored = await store.readHead()
      if (!stored) throw new SteleError('not_initialised', `${database}: the database holds no signed head`)
      return new StoredLog(name, info, store, decodeHead(stored.record, database))
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /**
   * Checks that this log's keys signed a head, and that both signatures are for the same tree.
   *
   * @throws SteleError `bad_signature`, `untrusted_signer`, `wrong_origin`, `malformed`, `corrupt`
   */
  verifyHead(head: SignedHead): void {
    headVerifier(this.info)(head)
  }

  close(): Promise<void> {
    return this.store.close()
  }
}

function storedFiles(store: LogStore, head: SignedHead): LogFiles {
  return {
    checkpoint: async () => head.checkpoint,
    tile: (level, index, width) =>
      readable(async () => {
        if (width === 256) return (await store.readTiles([{ level, index }]))[0]
        return partialTile(store, level, index * 256, width)
      }),
    bundle: (index, width) =>
      readable(async () => encodeBundle(await store.readEntries(index * 256, index * 256 + width))),
  }
}

/** Files that LevelDB cannot read are damage, too. */
async function readable<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof SteleError) throw error
    throw new SteleError('corrupt', `database: ${(error as Error).message}`, { cause: error })
  }
}

/** Partial tiles are not stored. They are derived from the newest entries, or from the newest full tiles below. */
async function partialTile(
  store: LogStore,
  level: number,
  begin: number,
  width: number,
): Promise<Uint8Array | undefined> {
  if (level === 0) return concatBytes(...(await store.readEntries(begin, begin + width)).map(leafHash))
  const below = Array.from({ length: width }, (_, i) => ({ level: level - 1, index: begin + i }))
  const tiles = await store.readTiles(below)
  // A tile of another length is damage. Without a tile there is nothing to roll up.
  return tiles.every(isWhole) ? concatBytes(...tiles.map(rootOf)) : undefined
}

function isWhole(tile: Uint8Array | undefined): tile is Uint8Array {
  return tile?.length === 256 * HASH_BYTES
}

function rootOf(tile: Uint8Array): Hash {
  return new TileHashes(tile).node(8, 0)
}

function lockedError(name: string, cause: SteleError): SteleError {
  return new SteleError(
    'locked',
    `log ${name}: another process has it open, most likely the server. Stop it, or ask it over HTTP: ` +
      `--url http://127.0.0.1:6962/logs/${name}`,
    { cause },
  )
}
