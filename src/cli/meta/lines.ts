import * as z from 'zod'
import { visible } from '../../bytes/visible.ts'
import type { VerifiedEntry } from '../../client/verified-entries.ts'
import { SteleError } from '../../errors.ts'
import { unaccounted, type LogAccount } from '../../audit-trail/trail-state.ts'

const lineSchema = z.looseObject({ at: z.string(), kind: z.string() })

/** One line of a meta log, and the index of its page. */
export type MetaLogLine = z.output<typeof lineSchema> & { readonly page: number }

/** The filter for lines; fields that are not given match all lines. */
export interface LineFilter {
  readonly kind?: string | undefined
  readonly who?: string | undefined
  readonly log?: string | undefined
  /** ISO 8601. */
  readonly since?: string | undefined
}

/**
 * The lines of pages, in order.
 *
 * @throws SteleError `malformed` for a page that the server cannot have written
 */
export async function* linesOf(
  pages: AsyncIterable<VerifiedEntry>,
  filter: LineFilter,
): AsyncGenerator<MetaLogLine, void, undefined> {
  for await (const { index, entry } of pages) {
    for (const text of new TextDecoder().decode(entry).split('\n')) {
      if (text === '') continue
      const line = { page: index, ...parseLine(text, index) }
      if (isWanted(line, filter)) yield line
    }
  }
}

/** A line as text: time, kind, caller, and result. */
export function describeLine(line: MetaLogLine): string {
  const text = (name: string): string => {
    const value = line[name]
    return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  }
  const parts: Record<string, string[]> = {
    request: [text('who'), text('role'), text('status'), text('route'), text('query')],
    denied: [text('who') || text('address'), text('code'), `x${text('count')}`, text('route'), text('query')],
    admin: [text('by'), text('act'), text('log'), adminOf(line)],
    start: [text('version'), changesOf(line['changed']), missingOf(line['logs'])],
    sizes: [missingOf(line['logs'])],
    hashes: [`${text('part')} of ${text('parts')}`],
    event: [text('event'), text('log')],
  }
  return [line.at, line.kind.padEnd(7), ...(parts[line.kind] ?? [])]
    .filter((part) => part !== '')
    .map(visible)
    .join('  ')
}

function parseLine(text: string, page: number): z.output<typeof lineSchema> {
  try {
    return lineSchema.parse(JSON.parse(text))
  } catch (error) {
    throw new SteleError('malformed', `meta log, page ${page}: expected lines of JSON with "at" and "kind"`, {
      cause: error,
    })
  }
}

function isWanted(line: MetaLogLine, { kind, who, log, since }: LineFilter): boolean {
  return (
    (kind === undefined || line.kind === kind) &&
    (who === undefined || line['who'] === who || line['by'] === who) &&
    (log === undefined || line['log'] === log) &&
    (since === undefined || line.at >= since)
  )
}

/**
 * The keys that are valid from now on. For a change of a log: the old value, the new value, and why it was not done.
 */
function adminOf({ log, before, after, error, changed }: MetaLogLine): string {
  const what =
    log === undefined
      ? keysOf(after)
      : `${JSON.stringify(before ?? null)} -> ${JSON.stringify(after ?? null)}`
  const reason = (error as { message?: string } | undefined)?.message
  return [what, changesOf(changed), reason ?? ''].filter((part) => part !== '').join('; ')
}

/** The ranges of entries without a line, as recorded at a start. */
function missingOf(logs: unknown): string {
  if (!Array.isArray(logs)) return ''
  const ranges = (logs as LogAccount[]).flatMap((account) =>
    unaccounted(account).map(([begin, end]) => `${account.log} ${begin} to ${end - 1}`),
  )
  return ranges.length > 0 ? `no line for ${ranges.join(', ')}` : ''
}

function keysOf(after: unknown): string {
  if (!Array.isArray(after)) return ''
  const keys = after as { id?: string; role?: string; state?: string }[]
  return keys.map(({ id, role, state }) => `${role ?? ''} ${id ?? ''} ${state ?? ''}`).join(', ')
}

function changesOf(changed: unknown): string {
  return Array.isArray(changed) && changed.length > 0 ? `changed unrecorded: ${changed.join(', ')}` : ''
}
