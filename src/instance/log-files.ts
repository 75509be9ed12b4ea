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
  /** The head file, unless `log.json` names another path. */
  readonly head: string
  /** The scrubber's cursor. */
  readonly scrub: string
}

/** The default visibility of a new log: reading entries needs a key, and witnesses can work without one. */
export const NEW_LOG = { reads: 'private', heads: 'open' } as const

export interface NewLog {
  readonly name: string
  /** First line of its checkpoints and name of its key. It never changes. */
  readonly origin: string
  readonly allowDuplicates: boolean
  /** Default: {@link NEW_LOG}. */
  readonly reads?: LogInfo['reads']
  /** Default: {@link NEW_LOG}. */
  readonly heads?: LogInfo['heads']
  /** A folder for the head file, best on another disk. */
  readonly headFolder?: string
}

/** The paths of a log's files in this folder. */
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

/** The content of `published` from the moment a log gets its first policy until a head is published under it. */
export const NONE_YET = 'none yet'

/**
 * The record of the head that was published last under a policy.
 *
 * @returns `none yet` where that is recorded: until then every signed head was published; undefined for a lost file,
 *   which allows no conclusion
 * @throws SteleError `io_error`
 */
export async function readPublished(path: string): Promise<Uint8Array | typeof NONE_YET | undefined> {
  const bytes = await readFileIfAny(path)
  return bytes && Buffer.from(bytes).toString().trimEnd() === NONE_YET ? NONE_YET : bytes
}
