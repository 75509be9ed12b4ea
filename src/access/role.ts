/** What a request wants to do; every route names one, and a route that names none does not compile. */
export type Permission =
  | 'open' // says nothing about any log that is not for everyone
  | 'append' // submit entries
  | 'read_heads' // checkpoints, tree heads, tiles above level 0, proofs between sizes of whole tiles
  | 'read_proofs' // proofs between any two sizes: they hold leaf hashes
  | 'read_entries' // entries, bundles, leaf hashes, proofs and look-ups of single entries
  | 'read_metrics' // numbers of the whole instance
  | 'operate' // scrubbing, coverage, the state of followers
  | 'see_access' // which keys and logs there are, never their secrets
  | 'manage_keys' // make, rotate and revoke API keys
  | 'manage_logs' // make logs, freeze them, change what they are

/** The role of a key or person. The provisioning key has a role of its own: there is one such key. */
export type Role = 'writer' | 'reader' | 'auditor' | 'monitor' | 'admin' | 'operator' | 'provisioning'

/** The roles of API keys and of people, in the order in which documents list them. */
export const ROLES = ['writer', 'reader', 'auditor', 'monitor', 'admin', 'operator', 'provisioning'] as const

/**
 * The permissions of each role; all others are denied. `proto-docs/access.md` lists them by route, and the tests are
 * generated from that list.
 *
 * A role that configures cannot read payloads or write entries, a role that writes cannot read, and a role that reads
 * cannot write. Only an auditor reads the meta log.
 */
export const PERMISSIONS: Readonly<Record<Role, readonly Permission[]>> = {
  writer: ['open', 'append', 'read_heads', 'read_proofs'],
  reader: ['open', 'read_heads', 'read_proofs', 'read_entries'],
  auditor: ['open', 'read_heads', 'read_proofs', 'read_entries', 'see_access'],
  monitor: ['open', 'read_heads', 'read_proofs'],
  admin: ['open', 'read_heads', 'see_access', 'manage_keys'],
  operator: ['open', 'read_heads', 'read_metrics', 'operate'],
  provisioning: ['open', 'read_heads', 'see_access', 'manage_keys', 'manage_logs'],
}

/** The roles whose keys a role can make and revoke. None can make keys of its own role; rotation replaces a key. */
export const GRANTABLE: Readonly<Record<Role, readonly Role[]>> = {
  writer: [],
  reader: [],
  auditor: [],
  monitor: [],
  admin: ['writer', 'reader', 'auditor', 'monitor', 'operator'],
  operator: [],
  provisioning: ['writer', 'reader', 'auditor', 'monitor', 'admin', 'operator'],
}
