import { join } from 'node:path'
import { readFileIfAny } from '../storage/files.ts'
import { FIRST_KEY_FILE, type LogInfo } from './log-info.ts'

/** The files of one log. */
export interface LogFiles {
  readonly folder: string
  readonly info: string
  readonly database: string
  readonly leafIndex: string
  readonly checkpointKey: string
  readonly treeHeadKey: string
  readonly policy: string
  readonly published: string
  /** The head file, unless `log.json` names another place. */
  readonly head: string
  /** How far the scrubber is. */
  readonly scrub: string
}

/** Who sees a new log unless its maker says otherwise: entries take a key, and witnesses can work. */
export const NEW_LOG = { reads: 'private', heads: 'open' } as const

export interface NewLog {
  readonly name: string
  /** First line of its checkpoints and name of its key; nobody can change it later. */
  readonly origin: string
  readonly allowDuplicates: boolean
  /** Default {@link NEW_LOG}. */
  readonly reads?: LogInfo['reads']
  /** Likewise. */
  readonly heads?: LogInfo['heads']
  /** A folder, best on another disk, for the head file. */
  readonly headFolder?: string
}

/** Where the files of a log in this folder are. */
export function filesIn(folder: string): LogFiles {
  return {
    folder,
    info: join(folder, 'log.json'),
    database: join(folder, 'database'),
    leafIndex: join(folder, 'leaf-index'),
    checkpointKey: join(folder, FIRST_KEY_FILE),
    treeHeadKey: join(folder, 'tree-head.pem'),
    policy: join(folder, 'policy'),
    published: join(folder, 'published'),
    head: join(folder, 'head'),
    scrub: join(folder, 'scrub'),
  }
}

/** What `published` holds from the moment a log gets its first policy until a head is published under it. */
export const NONE_YET = 'none yet'

/**
 * The record of the head that was published last under a policy.
 *
 * @returns `none yet` where that is recorded: until then every head was shown as it was signed; undefined for a file that is
 *   lost, of which nothing follows
 * @throws SteleError `io_error`
 */
export async function readPublished(path: string): Promise<Uint8Array | typeof NONE_YET | undefined> {
  const bytes = await readFileIfAny(path)
  return bytes && Buffer.from(bytes).toString().trimEnd() === NONE_YET ? NONE_YET : bytes
}
