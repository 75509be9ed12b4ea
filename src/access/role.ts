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

/** Who somebody is to this server. The provisioning key is a role of its own: there is one such key. */
export type Role = 'writer' | 'reader' | 'auditor' | 'monitor' | 'admin' | 'operator' | 'provisioning'

/** The roles of API keys and of people, in the order in which documents list them. */
export const ROLES = ['writer', 'reader', 'auditor', 'monitor', 'admin', 'operator', 'provisioning'] as const

/**
 * Everything that a role may do; whatever is not in its list is denied. `proto-docs/access.md` shows it route by route,
 * and the tests are made from it.
 *
 * Who configures cannot read payloads nor write entries, who writes cannot read, who reads cannot write. Only an
 * auditor reads the log of who did what.
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

/** The roles whose keys a role can make and revoke: nobody makes their own equal but the provisioning key. */
export const GRANTABLE: Readonly<Record<Role, readonly Role[]>> = {
  writer: [],
  reader: [],
  auditor: [],
  monitor: [],
  admin: ['writer', 'reader', 'auditor', 'monitor', 'operator'],
  operator: [],
  provisioning: ['writer', 'reader', 'auditor', 'monitor', 'admin', 'operator'],
}
