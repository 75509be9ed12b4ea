import * as z from 'zod'
import type { Log } from '../log/log.ts'
import type { Configuration } from './configuration.ts'
import { REMINDER_PAGES } from './meta-log.ts'

/** Pages that are read at once. */
const STEP = 32
/** A reminder stands in at least every so many pages; twice that leaves room for the pages that were under way. */
const FARTHEST = 2 * REMINDER_PAGES

const lineSchema = z.object({ configuration: z.record(z.string(), z.string()) })

/** The configuration that a meta log recorded last; undefined in one that has none yet. */
export async function lastConfiguration(log: Log): Promise<Configuration | undefined> {
  const { size } = log.published
  for (let end = size; end > Math.max(0, size - FARTHEST); end -= STEP) {
    const pages = await log.readEntries(Math.max(0, end - STEP), end)
    for (const page of pages.reverse()) {
      const found = lastOf(new TextDecoder().decode(page))
      if (found) return found
    }
  }
  return undefined
}

function lastOf(page: string): Configuration | undefined {
  const lines = page.split('\n').filter((line) => line.includes('"configuration"'))
  for (const line of lines.reverse()) {
    const parsed = lineSchema.safeParse(JSON.parse(line))
    if (parsed.success) return parsed.data.configuration
  }
  return undefined
}
