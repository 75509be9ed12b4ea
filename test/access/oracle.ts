import type { Role } from '../../src/access/role.ts'

/** Kinds of logs, by the names of those that stand for them in these tests. */
export const KINDS = ['public', 'halfopen', 'closed', 'meta'] as const
export type Kind = (typeof KINDS)[number]

/** Who may do something: everybody, or whoever has one of these roles. */
export type Who = 'anyone' | readonly Role[]

/** One request of a route that succeeds for whoever may make it. */
export interface Sample {
  /** Values for what stands in braces in the path, the log left out. */
  readonly path?: Readonly<Record<string, string>>
  readonly search?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  /** What comes back where it is not 200. */
  readonly status?: number
}

/** What a route of a log demands, for each kind of log. */
export interface LogRow {
  readonly on: Readonly<Record<Kind, Who>>
  readonly sample: Sample
}

/** What a route at the root demands. */
export interface RootRow {
  readonly who: Who
  readonly sample: Sample
}

const EVERY_ROLE: Who = ['writer', 'reader', 'auditor', 'monitor', 'admin', 'operator', 'provisioning']
const NOBODY: Who = []

// Written by hand, from what is promised and not from the code that keeps it: who may do what, three ways for logs.
const APPEND = { public: ['writer'], halfopen: ['writer'], closed: ['writer'], meta: NOBODY } as const
/** Consistency proofs of sizes that are not multiples of 256: they hold leaf hashes. */
const PROOFS = {
  public: 'anyone',
  halfopen: ['writer', 'reader', 'auditor', 'monitor'],
  closed: ['writer', 'reader', 'auditor', 'monitor'],
  meta: ['auditor', 'monitor'],
} as const
const HEADS = { public: 'anyone', halfopen: 'anyone', closed: EVERY_ROLE, meta: 'anyone' } as const
const ENTRIES = {
  public: 'anyone',
  halfopen: ['reader', 'auditor'],
  closed: ['reader', 'auditor'],
  meta: ['auditor'],
} as const

const OPERATION = {
  public: ['operator'],
  halfopen: ['operator'],
  closed: ['operator'],
  meta: ['operator'],
} as const

/** Any leaf hash: that it is in no log is for those to know who may ask. */
const HASH = 'ab'.repeat(32)
const HASH64 = encodeURIComponent(Buffer.from(HASH, 'hex').toString('base64'))

/** A row for each route that concerns one log. */
export const LOG_ROWS: Readonly<Record<string, LogRow>> = {
  'POST /logs/{log}/add': { on: APPEND, sample: { body: 'an entry' } },
  'POST /logs/{log}/v1/entries': { on: APPEND, sample: { body: 'an entry' } },
  'POST /logs/{log}/v1/batches': {
    on: APPEND,
    sample: { body: 'one\ntwo\n', headers: { 'content-type': 'application/x-ndjson' } },
  },
  'GET /v1/logs/{log}': { on: HEADS, sample: {} },
  // These logs have no scrubber, and say so to whoever may ask.
  'GET /v1/logs/{log}/scrub': { on: OPERATION, sample: { status: 404 } },
  'POST /v1/logs/{log}/scrub': { on: OPERATION, sample: { status: 404 } },
  'GET /logs/{log}/checkpoint': { on: HEADS, sample: {} },
  'GET /logs/{log}/tile/{level}/{tile}': {
    on: HEADS,
    sample: { path: { level: '1', tile: '000' }, status: 404 },
  },
  'GET /logs/{log}/tile/{level}/{tile}.p/{width}': {
    on: HEADS,
    sample: { path: { level: '1', tile: '000', width: '1' } },
  },
  'GET /logs/{log}/ct/v1/get-sth': { on: HEADS, sample: {} },
  'GET /logs/{log}/ct/v1/get-sth-consistency': { on: PROOFS, sample: { search: '?first=1&second=2' } },
  'GET /logs/{log}/v1/proofs/consistency': { on: PROOFS, sample: { search: '?old=1&new=2' } },
  'GET /logs/{log}/v1/checkpoint': { on: HEADS, sample: { search: '?after=1' } },
  'GET /logs/{log}/v1/keys': { on: HEADS, sample: {} },
  'GET /logs/{log}/v1/keys/rotations': { on: HEADS, sample: {} },
  'GET /logs/{log}/tile/0/{tile}': { on: ENTRIES, sample: { path: { tile: '000' } } },
  'GET /logs/{log}/tile/0/{tile}.p/{width}': { on: ENTRIES, sample: { path: { tile: '000', width: '2' } } },
  'GET /logs/{log}/tile/entries/{tile}': { on: ENTRIES, sample: { path: { tile: '000' } } },
  'GET /logs/{log}/tile/entries/{tile}.p/{width}': {
    on: ENTRIES,
    sample: { path: { tile: '000', width: '2' } },
  },
  'GET /logs/{log}/v1/entries': { on: ENTRIES, sample: { search: '?begin=0&end=2' } },
  'GET /logs/{log}/v1/entries/{index}': { on: ENTRIES, sample: { path: { index: '0' } } },
  'GET /logs/{log}/v1/entries/{index}/proof': { on: ENTRIES, sample: { path: { index: '0' } } },
  'GET /logs/{log}/v1/leaves/{hash}': { on: ENTRIES, sample: { path: { hash: HASH }, status: 404 } },
  'GET /logs/{log}/v1/proofs/inclusion': { on: ENTRIES, sample: { search: '?index=0&size=2' } },
  'GET /logs/{log}/ct/v1/get-proof-by-hash': {
    on: ENTRIES,
    sample: { search: `?hash=${HASH64}&tree_size=2`, status: 404 },
  },
  'GET /logs/{log}/ct/v1/get-entries': { on: ENTRIES, sample: { search: '?start=0&end=1' } },
  'GET /logs/{log}/ct/v1/get-entry-and-proof': {
    on: ENTRIES,
    sample: { search: '?leaf_index=0&tree_size=2' },
  },
}

/** The same two routes, asked for sizes that are multiples of 256: no more than heads. */
export const OPEN_PROOF_ROWS: Readonly<Record<string, LogRow>> = {
  'GET /logs/{log}/ct/v1/get-sth-consistency': { on: HEADS, sample: { search: '?first=0&second=256' } },
  'GET /logs/{log}/v1/proofs/consistency': { on: HEADS, sample: { search: '?old=256&new=256' } },
}

/** A row for each route at the root. */
export const ROOT_ROWS: Readonly<Record<string, RootRow>> = {
  'GET /': { who: 'anyone', sample: {} },
  'GET /docs': { who: 'anyone', sample: {} },
  'GET /openapi.json': { who: 'anyone', sample: {} },
  'GET /healthz': { who: 'anyone', sample: {} },
  'GET /servez': { who: 'anyone', sample: {} },
  'GET /readyz': { who: 'anyone', sample: {} },
  'GET /v1/logs': { who: 'anyone', sample: {} },
  'GET /metrics': { who: ['operator'], sample: {} },
  'GET /v1/keys': { who: ['auditor', 'admin', 'provisioning'], sample: {} },
  'POST /v1/keys': {
    who: ['admin', 'provisioning'],
    sample: { body: '{"role":"writer","logs":["other"]}', status: 201 },
  },
  // Of a key that is not there: who may not rotate is not told even that.
  'POST /v1/keys/{id}/rotate': {
    who: ['admin', 'provisioning'],
    sample: { path: { id: 'a'.repeat(16) }, status: 404 },
  },
  'POST /v1/keys/{id}/revoke': {
    who: ['admin', 'provisioning'],
    sample: { path: { id: 'a'.repeat(16) }, status: 404 },
  },
}

/** The tables of `proto-docs/access.md`, made of the rows above. */
export function markdownTables(): string {
  return `${logTable()}\n\n${rootTable()}`
}

function logTable(): string {
  const head = ['Route of a log', 'public', 'private, heads open', 'private, heads closed', 'the meta log']
  const rows = Object.entries(LOG_ROWS).map(([route, { on }]) => [
    code(route),
    ...KINDS.map((kind) => said(on[kind])),
  ])
  return table([head, ...rows])
}

function rootTable(): string {
  const rows = Object.entries(ROOT_ROWS).map(([route, { who }]) => [code(route), said(who)])
  return table([['Route of the server', 'who'], ...rows])
}

function table([head = [], ...rows]: readonly string[][]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

const code = (text: string): string => `\`${text}\``

function said(who: Who): string {
  if (who === 'anyone') return 'anyone'
  if (who.length === 0) return 'nobody'
  return who === EVERY_ROLE ? 'any key for it' : who.join(', ')
}
