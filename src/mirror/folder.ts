import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseHex, toHex } from '../bytes/hex.ts'
import { SteleError } from '../errors.ts'
import { createMirrorState, type MirrorPaths } from './open.ts'
import { TICKET_KEY_BYTES } from './ticket.ts'
import type { CosignerKeyType } from '../note/key-id.ts'
import { fileError, syncFolder, writeNewFile } from '../storage/files.ts'
import { originHash } from '../witness/logs.ts'
import {
  cosignerFiles,
  createCosignerFolder,
  type CosignerFiles,
  type CosignerInfo,
} from '../witness/cosigner-folder.ts'
import { readKeyFile } from '../storage/key-file.ts'

/*
 * A mirror folder:
 *
 *   mirror.json        format, version, name, public keys
 *   ed25519.skey       private key, mode 600
 *   ml-dsa-44.skey     private key, mode 600
 *   ticket.key         what tickets are authenticated with, mode 600; whoever has it can forge tickets and nothing else
 *   logs.json          the logs that it has copies of
 *   logs/<hash>/database/   LevelDB: entries, tiles, and what is known of that log
 *   logs/<hash>/head   how often something of that log was cosigned, in a second place
 *   logs/<hash>/scrub  how far the copy was read again and compared with its tree, and what was damaged
 *   logs/<hash>/rotations   what its old keys have said of new ones, where it was followed on by that
 *   evidence/          signed checkpoints that contradict each other
 */

/** The files of a mirror. */
export interface MirrorFiles extends CosignerFiles {
  readonly copies: string
  readonly ticketKey: string
}

/** Where the files of a mirror are. */
export function mirrorFiles(folder: string): MirrorFiles {
  return {
    ...cosignerFiles(folder),
    copies: join(folder, 'logs'),
    ticketKey: join(folder, 'ticket.key'),
  }
}

/** Where the copy of one log is. */
export function copyPaths(folder: string, origin: string): MirrorPaths {
  return pathsIn(join(mirrorFiles(folder).copies, originHash(origin)))
}

/** Where it is kept by which statements one log was followed on. */
export function rotationsFile(folder: string, origin: string): string {
  return join(mirrorFiles(folder).copies, originHash(origin), 'rotations')
}

/** Where it is kept how far the scrubber of one log is. */
export function scrubFile(folder: string, origin: string): string {
  return join(mirrorFiles(folder).copies, originHash(origin), 'scrub')
}

/** Makes a mirror of no log yet. Throws as `createCosignerFolder`. */
export function createMirror(
  folder: string,
  name: string,
  types: readonly CosignerKeyType[],
  nowMs = Date.now(),
): Promise<CosignerInfo> {
  const { copies, ticketKey } = mirrorFiles(folder)
  const fill = async (): Promise<void> => {
    await writeNewFile(ticketKey, `${toHex(randomBytes(TICKET_KEY_BYTES))}\n`, 0o600)
    await mkdir(copies)
  }
  return createCosignerFolder({ kind: 'mirror', folder, name, types, nowMs, fill })
}

/**
 * Makes the copy of a log of which nothing is known, unless there is one: then it is left as it is. It is built beside
 * its place and renamed, so that a crash leaves a whole one or none.
 *
 * @throws SteleError `io_error`
 */
export async function makeCopy(folder: string, origin: string): Promise<void> {
  const { copies } = mirrorFiles(folder)
  const place = join(copies, originHash(origin))
  if (existsSync(place)) return
  const building = join(copies, `.creating-${originHash(origin)}-${toHex(randomBytes(4))}`)
  try {
    await mkdir(building)
    await createMirrorState(pathsIn(building))
    await rename(building, place)
    await syncFolder(copies)
  } catch (error) {
    await rm(building, { recursive: true, force: true }).catch(() => undefined)
    throw error instanceof SteleError ? error : fileError(building, error)
  }
}

/** The key of the tickets. @throws SteleError `key_missing`, `key_permissions`, `malformed`, `io_error` */
export async function readTicketKey(folder: string): Promise<Uint8Array> {
  const { ticketKey } = mirrorFiles(folder)
  const key = parseHex(await readKeyFile(ticketKey), ticketKey)
  if (key.length === TICKET_KEY_BYTES) return key
  throw new SteleError('malformed', `${ticketKey}: expected ${TICKET_KEY_BYTES} bytes, got ${key.length}`)
}

function pathsIn(folder: string): MirrorPaths {
  return { database: join(folder, 'database'), headFile: join(folder, 'head') }
}
