import { SteleError } from '../errors.ts'
import { replaceFile } from '../storage/files.ts'
import type { Announce } from './plan.ts'
import { hashOf, logPart } from './configuration.ts'
import { logFiles } from './data-folder.ts'
import { formatLogInfo, type LogInfo } from './log-info.ts'
import { withStoredHead } from './stored-head.ts'

/** The visibility of a log. */
export interface Visibility {
  readonly reads: LogInfo['reads']
  readonly heads: LogInfo['heads']
}

/**
 * Changes who reads a log, or whether everyone may read its heads. The log must not be open elsewhere. Data that
 * readers have downloaded or caches have stored is not affected.
 *
 * @param wanted settings that are not given stay as they are
 * @returns the new visibility
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

/** Refuses closed heads with public entries: they would protect nothing. @throws SteleError `usage` */
export function checkVisibility({ reads, heads }: Visibility): void {
  if (reads !== 'public' || heads === 'open') return
  throw new SteleError(
    'usage',
    'heads: expected open, since reads are public; closed heads need private reads',
  )
}
