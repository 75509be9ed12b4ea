import { z } from 'zod'
import { SteleError } from '../errors.ts'
import { type Finding, FINDING_KINDS } from './finding.ts'

/** A signed head, and when it was first seen. */
export interface SeenHead {
  readonly note: string
  /** Milliseconds since 1970. */
  readonly seenMs: number
}

/** The end of a log, and how it is known. An entry alone only claims it. */
export interface KnownEnd {
  /** Size of the final tree. */
  readonly size: number
  /** An accepted head of at least that size. */
  readonly head: SeenHead
  /**
   * `entry`: a claim, since any submitter may have written that entry; growth is not reported. `log`: the log reported
   * its end, without a signature. `operator`: the configuration of the monitor says so.
   */
  readonly by: 'entry' | 'log' | 'operator'
  /** URL of the successor, if one was named. */
  readonly successor?: string | undefined
  /** The entry in base64 with index `size - 1`, and its inclusion proof in the tree of `head`, in hex. */
  readonly entry?: string | undefined
  readonly path?: readonly string[] | undefined
}

/** A problem that has been reported. It is not reported again while it lasts. */
interface OpenProblem {
  readonly id: string
  /** The exact problem. Another subject under the same name is reported as a new one. */
  readonly subject: string
  /** When it was first found. Milliseconds since 1970. */
  readonly sinceMs: number
}

/** A finding that some webhooks have not accepted yet. */
export interface Undelivered {
  readonly finding: Finding
  /** URLs of those webhooks. */
  readonly to: readonly string[]
}

/** How far one log has been followed. A monitor that continues from a saved state skips nothing. */
export interface LogState {
  readonly origin: string
  /** The newest accepted head, which the log must extend. */
  readonly head: SeenHead | undefined
  /** The newest accepted RFC 6962 tree head. */
  readonly treeHead: SeenHead | undefined
  /** The first entry that has not been processed. */
  readonly nextIndex: number
  /** The next bundle to read again, to check that old entries are unchanged. */
  readonly recheckBundle: number
  /** When the log last responded, and when its checkpoint last changed. Milliseconds since 1970; 0 for never. */
  readonly contactMs: number
  readonly newsMs: number
  /** The rotation statements by which new keys became trusted, as a file. */
  readonly rotations: string
  /** Whether the log has ever shown entries. */
  readonly entriesRead: boolean
  /** The log's time of its first report that it has ended, in milliseconds since 1970; 0 for never. */
  readonly saidFrozenMs: number
  /** The end of the log, once known. */
  readonly end: KnownEnd | undefined
  /** Open problems by name: kind of finding and place. */
  readonly open: Readonly<Record<string, OpenProblem>>
  /** How often the problem of each name has ended, so that a new one gets a new id. */
  readonly ended: Readonly<Record<string, number>>
  /** Ids of reported contradictions, the newest last. */
  readonly reported: readonly string[]
  readonly undelivered: readonly Undelivered[]
}

/** The most contradictions that are remembered. An older one would be reported again, under the same id. */
export const MOST_REPORTED = 1000

/** The state of a log that was never followed. */
export function emptyState(origin: string, nextIndex: number): LogState {
  return {
    origin,
    head: undefined,
    treeHead: undefined,
    nextIndex,
    recheckBundle: 0,
    contactMs: 0,
    newsMs: 0,
    rotations: '',
    entriesRead: false,
    saidFrozenMs: 0,
    end: undefined,
    open: {},
    ended: {},
    reported: [],
    undelivered: [],
  }
}

const FORMAT = 'stele-monitor-state/v1'
const count = z.int().min(0)
const seen = z.strictObject({ note: z.string(), seenMs: count })
const head = seen.optional()
const end = z.strictObject({
  size: count,
  head: seen,
  by: z.enum(['entry', 'log', 'operator']),
  successor: z.string().optional(),
  entry: z.string().optional(),
  path: z.array(z.string()).optional(),
})
const finding = z.strictObject({
  id: z.string(),
  kind: z.enum(FINDING_KINDS),
  log: z.string(),
  url: z.string(),
  foundAt: z.string(),
  message: z.string(),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
})
const schema = z.strictObject({
  format: z.literal(FORMAT),
  origin: z.string(),
  head,
  treeHead: head,
  nextIndex: count,
  recheckBundle: count,
  contactMs: count,
  newsMs: count,
  rotations: z.string().default(''),
  entriesRead: z.boolean().default(false),
  saidFrozenMs: count.default(0),
  end: end.optional(),
  open: z.record(z.string(), z.strictObject({ id: z.string(), subject: z.string(), sinceMs: count })),
  ended: z.record(z.string(), count),
  reported: z.array(z.string()),
  undelivered: z.array(z.strictObject({ finding, to: z.array(z.string()) })),
})

/** Formats a state for saving. */
export function formatState(state: LogState): string {
  return `${JSON.stringify({ format: FORMAT, ...state }, undefined, 2)}\n`
}

/**
 * Parses a saved state. A damaged state is refused rather than replaced by an empty one: its head is needed to detect a
 * fork.
 *
 * @throws SteleError `malformed`; `wrong_origin` for the state of another log
 */
export function parseState(text: string, origin: string): LogState {
  const parsed = schema.safeParse(asJson(text))
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!
    throw new SteleError('malformed', `monitor state, ${path.join('.') || 'top'}: ${message}`)
  }
  const { format: _, head: kept, treeHead, end: ended, ...state } = parsed.data
  if (state.origin === origin) return { ...state, head: kept, treeHead, end: ended }
  throw new SteleError('wrong_origin', `monitor state: expected the state of ${origin}, got ${state.origin}`)
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new SteleError('malformed', 'monitor state: expected JSON', { cause })
  }
}

/** Stores the state and the evidence of a monitor. */
export interface MonitorStore {
  /** The last saved state of a log; undefined if there is none. */
  load(origin: string): Promise<string | undefined>
  /** Where the state of a log is stored, for error messages. */
  placeOf(origin: string): string
  /** Resolves once the state is on disk. If it rejects, the previous state is still there, whole. */
  save(origin: string, state: string): Promise<void>
  /**
   * Stores an evidence file permanently.
   *
   * @returns its place, as text for a person
   */
  keepEvidence(id: string, evidence: string): Promise<string>
}
