import { cp, link, mkdir, rm, writeFile } from 'node:fs/promises'
import { decodeHead, encodeHead, type SignedHead } from '../log/head.ts'
import { HASH_BYTES, hashLeafInto } from '../merkle/hash.ts'
import { headFilePath, logFiles, readLogInfo } from '../instance/data-folder.ts'
import { headSigner } from '../instance/keys.ts'
import { NONE_YET } from '../instance/log-files.ts'
import { readPrivateKeys } from '../instance/private-keys.ts'
import { createHeadFile } from '../storage/head-file.ts'
import { LevelStore } from '../storage/level.ts'
import { EMPTY_TREE, growTree } from '../tile/grow.ts'

/** The name of the log of each scenario. */
export const LOG = 'main'

/** The contents of a log, read from its database. */
export interface StoredHistory {
  readonly entries: readonly Uint8Array[]
  readonly head: SignedHead
}

/** Reads a closed log. */
export async function readHistory(data: string): Promise<StoredHistory> {
  const store = await LevelStore.open(logFiles(data, LOG).database)
  try {
    const stored = (await store.readHead())!
    return { entries: await store.readEntries(0, stored.size), head: decodeHead(stored.record, data) }
  } finally {
    await store.close()
  }
}

/**
 * Replaces all entries of a log and all tiles above them consistently. Only the signed head stays unchanged. This is
 * possible without a key.
 */
export async function rewriteWithoutKey(data: string, entries: readonly Uint8Array[]): Promise<void> {
  const { head } = await readHistory(data)
  await writeDatabase(data, entries, encodeHead(head))
}

/**
 * Replaces the history of a log with another one signed with the log's own keys: database, leaf index, head file and
 * published head. Nothing in the folder contradicts anything else.
 *
 * @param timestampMs the time to sign in the new head
 * @returns the new head
 */
export async function rewriteWithKey(
  data: string,
  entries: readonly Uint8Array[],
  timestampMs = Date.now(),
): Promise<SignedHead> {
  const info = await readLogInfo(data, LOG)
  const signer = headSigner(info, await readPrivateKeys(logFiles(data, LOG).folder, info))
  const { size, root } = growTree(EMPTY_TREE, leafHashes(entries)).tree
  const head = await signer.sign({ size, root, timestampMs })
  await writeDatabase(data, entries, encodeHead(head))
  const headFile = headFilePath(data, LOG, info)
  await rm(headFile)
  await createHeadFile(headFile, encodeHead(head))
  // Records that no head was published under the policy. Without this record the log would ask the witnesses first.
  await writeFile(logFiles(data, LOG).published, `${NONE_YET}\n`)
  return head
}

/** Makes a second log with the same keys and no witnesses: a copy of the folder with another history. */
export async function forkInto(data: string, folder: string, entries: readonly Uint8Array[]): Promise<void> {
  const files = logFiles(data, LOG)
  // The databases may be open, and are replaced anyway.
  const left = [files.database, files.leafIndex, files.policy]
  await mkdir(folder, { recursive: true })
  await cp(data, folder, { recursive: true, filter: (path) => !left.includes(path) })
  await rewriteWithKey(folder, entries)
}

/**
 * Copies a closed log to one that shares its head file, as two folders with one `--head-folder` do. The copy has no
 * witnesses.
 */
export async function copySharingHead(data: string, folder: string): Promise<void> {
  await cp(data, folder, { recursive: true })
  const [files, copied] = [logFiles(data, LOG), logFiles(folder, LOG)]
  await rm(copied.policy, { force: true })
  await rm(copied.head)
  await link(files.head, copied.head)
}

async function writeDatabase(
  data: string,
  entries: readonly Uint8Array[],
  record: Uint8Array,
): Promise<void> {
  const files = logFiles(data, LOG)
  for (const folder of [files.database, files.leafIndex]) await rm(folder, { recursive: true, force: true })
  const { tree, tiles } = growTree(EMPTY_TREE, leafHashes(entries))
  const store = await LevelStore.open(files.database, { create: true })
  try {
    await store.commit({ from: 0, entries, tiles, head: { size: tree.size, record } })
  } finally {
    await store.close()
  }
}

/** The leaf hashes of entries, concatenated. */
export function leafHashes(entries: readonly Uint8Array[]): Uint8Array {
  const slab = new Uint8Array(entries.length * HASH_BYTES)
  entries.forEach((entry, i) => hashLeafInto(slab, i * HASH_BYTES, entry))
  return slab
}
