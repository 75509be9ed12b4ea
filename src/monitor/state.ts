import { z } from 'zod'
import { SteleError } from '../errors.ts'
import { type Finding, FINDING_KINDS } from './finding.ts'

/** A signed head, and when it was first seen. */
export interface SeenHead {
  readonly note: string
  /** Milliseconds since 1970. */
  readonly seenMs: number
}

/** That a log has ended, and how that is known; by an entry alone it is not. */
export interface KnownEnd {
  /** Of the tree that nothing was to follow. */
  readonly size: number
  /** A head of at least that size, as it was accepted. */
  readonly head: SeenHead
  /**
   * `entry`: only a claim, since any submitter may have written that entry; the log is not held to it. `log`: the log
   * said so when it was asked, without a signature. `operator`: the monitor was told.
   */
  readonly by: 'entry' | 'log' | 'operator'
  /** Where it goes on, if that was said. */
  readonly successor?: string | undefined
  /** The entry in base64, and the hashes in hex by which it is in the tree of `head`, at the index before `size`. */
  readonly entry?: string | undefined
  readonly path?: readonly string[] | undefined
}

/** Something that is wrong and has been reported: it is not reported again while it lasts. */
interface OpenProblem {
  readonly id: string
  /** What exactly is wrong: something else under the same name is reported anew. */
  readonly subject: string
  /** When it was first found. Milliseconds since 1970. */
  readonly sinceMs: number
}

/** A finding that is not yet with everybody it is meant for. */
export interface Undelivered {
  readonly finding: Finding
  /** URLs of the webhooks that have not taken it. */
  readonly to: readonly string[]
}

/** How far one log has been followed. Whoever keeps this, and goes on from it, skips nothing. */
export interface LogState {
  readonly origin: string
  /** The newest head that was accepted: the log must extend it. */
  readonly head: SeenHead | undefined
  /** The newest tree head (RFC 6962) that was accepted. */
  readonly treeHead: SeenHead | undefined
  /** The first entry that has not been dealt with. */
  readonly nextIndex: number
  /** The first bundle to be read again, to see whether what is old stays as it was. */
  readonly recheckBundle: number
  /** When the log last answered, and when its checkpoint last changed. Milliseconds since 1970; 0 for never. */
  readonly contactMs: number
  readonly newsMs: number
  /** What old keys have said of new ones, where the log was followed on by that: a file of statements. */
  readonly rotations: string
  /** Whether the log has let entries be read. */
  readonly entriesRead: boolean
  /** The log's own time when it was first heard to say that it had ended, milliseconds since 1970; 0 for never. */
  readonly saidFrozenMs: number
  /** That the log has ended, once that is known. */
  readonly end: KnownEnd | undefined
  /** By name: kind of finding and place where it was found. */
  readonly open: Readonly<Record<string, OpenProblem>>
  /** How often the problem of each name has come to an end: what comes then is another one. */
  readonly ended: Readonly<Record<string, number>>
  /** Ids of the contradictions that were reported, the newest last. */
  readonly reported: readonly string[]
  readonly undelivered: readonly Undelivered[]
}

/** Most contradictions that are remembered; an older one would be reported again, under the same id. */
export const MOST_REPORTED = 1000

/** Where nothing is known yet. */
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

/** A state as text, to be kept. */
export function formatState(state: LogState): string {
  return `${JSON.stringify({ format: FORMAT, ...state }, undefined, 2)}\n`
}

/**
 * Reads a state that was kept. One that cannot be read is refused and not begun anew: the head in it is what a fork
 * would be noticed by.
 *
 * @throws SteleError `malformed`; `wrong_origin` for that of another log
 */
export function parseState(text: string, origin: string): LogState {
  const parsed = schema.safeParse(asJson(text))
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!
    throw new SteleError('malformed', `state of the monitor, ${path.join('.') || 'top'}: ${message}`)
  }
  const { format: _, head: kept, treeHead, end: ended, ...state } = parsed.data
  if (state.origin === origin) return { ...state, head: kept, treeHead, end: ended }
  throw new SteleError(
    'wrong_origin',
    `state of the monitor: expected that of ${origin}, got ${state.origin}`,
  )
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new SteleError('malformed', 'state of the monitor: expected JSON', { cause })
  }
}

/** Where a monitor keeps what must outlive it. */
export interface MonitorStore {
  /** The state of a log as it was saved last; undefined if it never was. */
  load(origin: string): Promise<string | undefined>
  /** Where the state of a log is kept, for error messages. */
  placeOf(origin: string): string
  /** Resolves once the state is on disk. If it rejects, the one before is still there, whole. */
  save(origin: string, state: string): Promise<void>
  /**
   * Keeps an evidence file for good.
   *
   * @returns where it is, for a person
   */
  keepEvidence(id: string, evidence: string): Promise<string>
}
