import type { Log } from '../log/log.ts'
import { Scrubber } from '../log/scrubber.ts'
import { readFileIfAny, replaceFile } from '../storage/files.ts'
import { logFiles } from './data-folder.ts'
import type { HostOptions } from './host.ts'

/** Begins to scrub an open log, unless that is switched off. Its cursor lives in the log's folder. */
export function startScrubber(name: string, log: Log, options: HostOptions): Scrubber | undefined {
  const { folder, scrubBytesPerSecond = 0, scrubClock, events } = options
  if (scrubBytesPerSecond === 0) return undefined
  const path = logFiles(folder, name).scrub
  return new Scrubber(log.stored, {
    bytesPerSecond: scrubBytesPerSecond,
    cursor: { read: () => readFileIfAny(path), write: (bytes) => replaceFile(path, bytes, 0o600) },
    ...(events.scrub ? { events: events.scrub(name) } : {}),
    ...(scrubClock ? { clock: scrubClock } : {}),
  })
}
