import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseHex, toHex } from '../bytes/hex.ts'
import { count, hostName, seconds, whole, words } from '../config/option-kinds.ts'
import { OptionTable, type OptionValues } from '../config/options.ts'
import { SteleError } from '../errors.ts'
import type { CosignerKeyType } from '../note/key-id.ts'
import { fileError, syncFolder, writeNewFile } from '../storage/files.ts'
import { readKeyFile } from '../storage/key-file.ts'
import { cosignerLimits, cosignerOptions } from '../witness/cosigner-config.ts'
import {
  cosignerFiles,
  type CosignerFiles,
  type CosignerInfo,
  createCosignerFolder,
} from '../witness/cosigner-folder.ts'
import { originHash } from '../witness/logs.ts'
import { createMirrorState, type MirrorPaths } from './open.ts'
import { DEFAULT_MIRROR_LIMITS, type MirrorLimits } from './routes.ts'
import { TICKET_KEY_BYTES } from './upload.ts'

const MIB = 1024 * 1024
const limits = DEFAULT_MIRROR_LIMITS

/** Every option of a mirror: the flag is `--name`, the variable `STELE_MIRROR_NAME` in capitals with underscores. */
export const mirrorOptions = new OptionTable('STELE_MIRROR', {
  data: words('mirror').describe('Mirror folder, as made by "stele mirror init".'),
  host: hostName('127.0.0.1').describe('Address to listen on; loopback is for this machine only.'),
  port: whole(6966, 0, 65_535).describe('TCP port; 0 takes a free one.'),
  'poll-seconds': seconds(5).describe(
    'How often a log that has a URL is asked for its checkpoint. While that fails the pauses double, up to 300.',
  ),
  'max-uploads': whole(limits.maxUploads, 2, 1000).describe(
    'Uploads at once, each of up to 20 MB of memory; more get 503, one caller 429 at half of it.',
  ),
  'upload-grace-seconds': seconds(limits.uploadGraceMs / 1000).describe(
    'How long a sender may keep an upload waiting, beside the time that its bytes take at 16 kB a second.',
  ),
  'upload-timeout-seconds': seconds(limits.uploadTimeoutMs / 1000).describe(
    'An upload ends after this long. What came by then is kept.',
  ),
  'scrub-bytes-per-second': whole(4 * MIB, 0, 4096 * MIB).describe(
    'How fast each copy is read again in the background and compared with its tree; 0: never.',
  ),
  'cache-bytes': count(16 * 1024 * 1024).describe('Memory of each log for tiles that are read again.'),
  ...cosignerOptions,
})

/** A mirror's configuration: complete, checked, frozen. */
export type MirrorConfig = OptionValues<typeof mirrorOptions.shape>

/** What the HTTP layer is told of the configuration. */
export function mirrorLimits(config: MirrorConfig): MirrorLimits {
  return {
    ...cosignerLimits(config),
    maxUploads: config['max-uploads'],
    uploadGraceMs: config['upload-grace-seconds'] * 1000,
    uploadTimeoutMs: config['upload-timeout-seconds'] * 1000,
    bundleCacheBytes: limits.bundleCacheBytes,
  }
}

/*
 * A mirror folder:
 *
 *   mirror.json        format, version, name, public keys
 *   ed25519.skey       private key, mode 600
 *   ml-dsa-44.skey     private key, mode 600
 *   ticket.key         authenticates tickets, mode 600; its holder can forge tickets and nothing else
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
