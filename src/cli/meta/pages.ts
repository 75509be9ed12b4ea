import { openLogClient } from '../../client/index.ts'
import { readEntries, type VerifiedEntry } from '../../client/verified-entries.ts'
import { VerifiedTiles } from '../../client/verified-tiles.ts'
import { hasCode, SteleError } from '../../errors.ts'
import type { Context } from '../context.ts'
import { PATIENCE_MS } from '../context.ts'
import { StoredLog } from '../files/stored-log.ts'
import { META_LOG } from '../../instance/access-files.ts'

/** The pages of a meta log, each verified against a signed head. */
export interface Pages {
  readonly size: number
  read(begin: number): AsyncIterable<VerifiedEntry>
  close(): Promise<void>
}

/** Reads the meta log of a running server. @throws SteleError `usage` without a verifier key; the server's refusal */
export async function servedPages(context: Context, server: string): Promise<Pages> {
  const url = `${server.replace(/\/+$/, '')}/logs/${META_LOG}`
  const verifierKey = await context.following(await context.keyFor(url))
  const log = openLogClient({ url, verifierKey, deadlineMs: PATIENCE_MS, headers: await context.headers() })
  const { size } = await log.checkpoint()
  return { size, read: (begin) => log.entries(begin, size), close: async () => {} }
}

/**
 * Reads the meta log of a data folder while no server runs. @throws SteleError `locked`, `not_found`, `bad_signature`
 */
export async function storedPages(folder: string): Promise<Pages> {
  const log = await StoredLog.open(folder, META_LOG).catch((error: unknown) => {
    throw hasCode(error, 'locked') ? inUse(folder, error) : error
  })
  const head = log.unverifiedHead
  try {
    log.verifyHead(head)
  } catch (error) {
    await log.close()
    throw error
  }
  const tiles = new VerifiedTiles(log.files, head)
  return {
    size: head.size,
    read: (begin) => readEntries(log.files, tiles, begin, head.size),
    close: () => log.close(),
  }
}

function inUse(folder: string, cause: SteleError): SteleError {
  return new SteleError(
    'locked',
    `${folder}: a server has it open. Ask that server, with the key of an auditor in STELE_API_KEY: --server <url>`,
    { cause },
  )
}
