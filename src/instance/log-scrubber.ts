import type { Log } from '../log/log.ts'
import type { ScrubFile } from '../scrub/scrub-cursor.ts'
import type { ScrubTurns } from '../scrub/scrub-turns.ts'
import { Scrubber } from '../scrub/scrubber.ts'
import { readFileIfAny, replaceFile } from '../storage/files.ts'
import { logFiles } from './data-folder.ts'
import type { HostOptions } from './host-options.ts'

/** Begins to scrub an open log, unless that is switched off. Its cursor lives in the log's folder. */
export function startScrubber(
  name: string,
  log: Log,
  options: HostOptions,
  turns: ScrubTurns,
): Scrubber | undefined {
  const { folder, scrubBytesPerSecond = 0, scrubClock, events } = options
  if (scrubBytesPerSecond === 0) return undefined
  const { scrub } = logFiles(folder, name)
  return new Scrubber(log.stored, {
    bytesPerSecond: scrubBytesPerSecond,
    cursor: durableFile(scrub),
    turns,
    ...(events.scrub ? { events: events.scrub(name) } : {}),
    ...(scrubClock ? { clock: scrubClock } : {}),
  })
}

function durableFile(path: string): ScrubFile {
  return { read: () => readFileIfAny(path), write: (bytes) => replaceFile(path, bytes, 0o600) }
}
