import { TILE_WIDTH } from '../tile/path.ts'
import { PERMISSIONS, type Permission, type Role } from './role.ts'

/** The logs that a grant covers: all present and future ones, or these. */
export type LogScope = '*' | readonly string[]

/** A role for some logs. */
export interface Grant {
  readonly role: Role
  readonly logs: LogScope
}

/** The sender of a request. */
export interface Caller {
  /** `anonymous` sent no credentials; `key` an API key; `person` a token of the identity provider. */
  readonly kind: 'anonymous' | 'key' | 'person'
  /** Key id or subject; empty for anonymous callers. */
  readonly id: string
  readonly grants: readonly Grant[]
  /** The client address: trusted proxies are skipped. */
  readonly address: string
  /** The share of queues and rates that the request counts against. */
  readonly share: string
}

/** A caller without credentials. */
export function anonymous(address: string): Caller {
  return { kind: 'anonymous', id: '', grants: [], address, share: address }
}

/** The properties of a log that access control depends on. */
export interface LogAccess {
  readonly name: string
  /** `public`: everyone reads everything. `private`: entries need a key. `meta`: entries need an auditor's key. */
  readonly reads: 'public' | 'private' | 'meta'
  /** `open`: checkpoints and tiles above level 0 are for everyone. */
  readonly heads: 'open' | 'closed'
  /** Everyone may append. Only true on an address that no other machine can reach. */
  readonly openWrites: boolean
}

const SIZE = /^(?:0|[1-9][0-9]*)$/

/**
 * The permission for a consistency proof. Between multiples of 256 a proof has no node below a whole tile, and so
 * reveals nothing beyond the tiles above level 0: the permission to read heads is enough. Between other sizes it
 * contains leaf hashes, which can confirm a guess at an entry.
 *
 * @param sizes as requested, in decimal; undefined for one that was left out
 */
export function proofPermission(sizes: readonly (string | undefined)[]): Permission {
  const isOpen = sizes.every(
    (size) => size !== undefined && SIZE.test(size) && Number(size) % TILE_WIDTH === 0,
  )
  return isOpen ? 'read_heads' : 'read_proofs'
}

/** The result of authorization. `absent`: the log does not exist for this caller. */
export type Decision = 'allowed' | 'unauthenticated' | 'forbidden' | 'absent'

/**
 * Authorizes a request. Everything that is not allowed here is denied.
 *
 * A log that is hidden from a caller does not exist for it: the answer is the same as for an unused name.
 *
 * @param log the log of the request, if the request names one that exists
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

/** True if a grant covers a log. */
export function covers({ logs }: Grant, { name }: Pick<LogAccess, 'name'>): boolean {
  return logs === '*' || logs.includes(name)
}

/**
 * True for a permission that needs credentials for every log.
 *
 * @param openWrites whether there are logs that everyone may append to
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
  // Only the server itself writes the meta log, and a reader of all other logs does not read it.
  if (reads === 'meta' && permission === 'append') return false
  if (reads === 'meta' && permission === 'read_entries') return role === 'auditor'
  if (reads === 'meta' && permission === 'read_proofs') return role === 'auditor' || role === 'monitor'
  return PERMISSIONS[role].includes(permission)
}
