import { TILE_WIDTH } from '../tile/path.ts'
import { PERMISSIONS, type Permission, type Role } from './role.ts'

/** The logs that a grant is for: all that there are and will be, or these. */
export type LogScope = '*' | readonly string[]

/** One role for some logs. */
export interface Grant {
  readonly role: Role
  readonly logs: LogScope
}

/** Who sends a request. */
export interface Caller {
  /** `anonymous` sent no credentials; `key` an API key; `person` a token of the identity provider. */
  readonly kind: 'anonymous' | 'key' | 'person'
  /** Key id or subject; empty for the anonymous. */
  readonly id: string
  readonly grants: readonly Grant[]
  /** Where the request comes from, proxies that are trusted left out. */
  readonly address: string
  /** Whose share of queues and rates it counts against. */
  readonly share: string
}

/** Somebody without credentials. */
export function anonymous(address: string): Caller {
  return { kind: 'anonymous', id: '', grants: [], address, share: address }
}

/** What access control needs to know of a log. */
export interface LogAccess {
  readonly name: string
  /** `public`: anybody reads everything. `private`: entries take a key. `meta`: entries take an auditor's key. */
  readonly reads: 'public' | 'private' | 'meta'
  /** `open`: checkpoints and tiles above level 0 are for everyone. */
  readonly heads: 'open' | 'closed'
  /** Anybody may append. Only ever true on an address that nobody else can reach. */
  readonly openWrites: boolean
}

const SIZE = /^(?:0|[1-9][0-9]*)$/

/**
 * What it takes to read a consistency proof. Between multiples of 256 it holds no node below a whole tile, and so nothing
 * that the tiles above level 0 do not give away: heads suffice. Between other sizes it holds leaf hashes, by which a
 * guess at an entry can be confirmed.
 *
 * @param sizes as they were asked for, in decimal; undefined for one that was left out
 */
export function proofPermission(sizes: readonly (string | undefined)[]): Permission {
  const isOpen = sizes.every(
    (size) => size !== undefined && SIZE.test(size) && Number(size) % TILE_WIDTH === 0,
  )
  return isOpen ? 'read_heads' : 'read_proofs'
}

/** What comes of a request before it is carried out. `absent`: to this caller there is no such log. */
export type Decision = 'allowed' | 'unauthenticated' | 'forbidden' | 'absent'

/**
 * Whether a caller may do something. Everything that is not allowed here is denied.
 *
 * A log of which a caller may see nothing does not exist to them: the answer is the same as for a name that nobody
 * uses.
 *
 * @param log the log that the request concerns, if it concerns one that exists
 */
export function decide(caller: Caller, permission: Permission, log?: LogAccess): Decision {
  if (!log) {
    if (permission === 'open' || caller.grants.some(({ role }) => PERMISSIONS[role].includes(permission))) {
      return 'allowed'
    }
    return caller.kind === 'anonymous' ? 'unauthenticated' : 'forbidden'
  }
  if (!sees(caller, log)) return 'absent'
  if (isOpenToAll(permission, log)) return 'allowed'
  if (caller.kind === 'anonymous') return 'unauthenticated'
  return caller.grants.some((grant) => covers(grant, log) && grants(grant.role, permission, log))
    ? 'allowed'
    : 'forbidden'
}

/** True if a caller may know that a log exists. */
export function sees(caller: Caller, log: LogAccess): boolean {
  return log.heads === 'open' || log.reads === 'public' || caller.grants.some((grant) => covers(grant, log))
}

/** True if a grant is for a log. */
export function covers({ logs }: Grant, { name }: Pick<LogAccess, 'name'>): boolean {
  return logs === '*' || logs.includes(name)
}

/**
 * True for what takes credentials whichever log it is for.
 *
 * @param openWrites whether there are logs that anybody may append to
 */
export function needsCredentials(permission: Permission, openWrites: boolean): boolean {
  return !isOpenToAll(permission, { name: '', reads: 'public', heads: 'open', openWrites })
}

function isOpenToAll(permission: Permission, { reads, heads, openWrites }: LogAccess): boolean {
  if (permission === 'open') return true
  if (permission === 'read_heads') return heads === 'open' || reads === 'public'
  if (permission === 'read_entries' || permission === 'read_proofs') return reads === 'public'
  return permission === 'append' && openWrites && reads !== 'meta'
}

function grants(role: Role, permission: Permission, { reads }: LogAccess): boolean {
  // The server alone writes the log of who did what, and a reader of everything else does not read it.
  if (reads === 'meta' && permission === 'append') return false
  if (reads === 'meta' && permission === 'read_entries') return role === 'auditor'
  if (reads === 'meta' && permission === 'read_proofs') return role === 'auditor' || role === 'monitor'
  return PERMISSIONS[role].includes(permission)
}
