import { createHash } from 'node:crypto'
import type { Grant } from './caller.ts'

/** What the members of a group of the identity provider may do. */
export interface GroupGrant extends Grant {
  readonly group: string
}

/** Longer subjects, and such as a line of a log could not show, stand under their hash. */
const SHOWABLE = /^[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?$/
/** What this server calls others by: ids of API keys, what changes keys at the machine itself, hashes of subjects. */
const TAKEN = /^(?:[a-z2-7]{16}|init|start|host|access recover|sha256:.*)$/

/**
 * How a person is called here, in the meta log above all: the provider's subject as it is, or `sha256:` and the hash of
 * it in hex where it is longer than 200 characters, not printable ASCII, or could be taken for somebody else.
 *
 * @returns undefined for what is no subject
 */
export function personId(subject: unknown): string | undefined {
  // Half a surrogate pair has no UTF-8: two such subjects would have one hash.
  if (typeof subject !== 'string' || subject === '' || /\p{Surrogate}/u.test(subject)) return undefined
  if (SHOWABLE.test(subject) && !TAKEN.test(subject)) return subject
  return `sha256:${createHash('sha256').update(subject).digest('hex')}`
}

/**
 * What groups give. What is no list of texts gives nothing, and so does a group that nobody mapped: to be known is no
 * right by itself.
 *
 * @param groups as a token claims them
 */
export function grantsOf(groups: unknown, mapped: readonly GroupGrant[]): Grant[] {
  if (!Array.isArray(groups)) return []
  const member = new Set<unknown>(groups)
  return mapped.filter(({ group }) => member.has(group)).map(({ role, logs }) => ({ role, logs }))
}
