import { SteleError } from '../errors.ts'
import { replaceFile } from '../storage/files.ts'
import type { Announce } from './plan.ts'
import { hashOf, logPart } from './configuration.ts'
import { logFiles } from './data-folder.ts'
import { formatLogInfo, type LogInfo } from './log-info.ts'
import { withStoredHead } from './stored-head.ts'

/** Who sees a log. */
export interface Visibility {
  readonly reads: LogInfo['reads']
  readonly heads: LogInfo['heads']
}

/**
 * Changes who reads a log, or whether its heads are for everyone. The log must not be open elsewhere. What somebody has
 * read, or a cache on the way keeps, stays where it is.
 *
 * @param wanted what is not given stays as it was
 * @returns what holds from now on
 * @throws SteleError `usage` for public entries under closed heads; `locked`
 */
export function changeAccess(
  folder: string,
  name: string,
  wanted: Partial<Visibility>,
  announce: Announce,
): Promise<Visibility> {
  return withStoredHead(folder, name, async ({ info }) => {
    const before = { reads: info.reads, heads: info.heads }
    const after = { ...before, ...wanted }
    checkVisibility(after)
    if (after.reads === before.reads && after.heads === before.heads) return after
    const text = formatLogInfo({ ...info, ...after })
    await announce({ before, after, parts: { [logPart(name)]: hashOf(text) } })
    await replaceFile(logFiles(folder, name).info, text)
    return after
  })
}

/** Heads that are closed while everybody reads the entries would protect nothing. @throws SteleError `usage` */
export function checkVisibility({ reads, heads }: Visibility): void {
  if (reads !== 'public' || heads === 'open') return
  throw new SteleError(
    'usage',
    'heads: expected open, since reads are public; closed heads take private reads',
  )
}
