import { equalBytes } from '../bytes/bytes.ts'
import { invariant } from '../errors.ts'
import type { VerifierKey } from '../note/note.ts'
import { showItem } from './octets.ts'
import { NO_QUORUM } from './policy.ts'
import type { Policy, PolicyGroup } from './policy.ts'

/** Whether enough witnesses cosigned, and if not, who is missing. */
export type Quorum = { readonly met: true } | { readonly met: false; readonly missing: Missing }

/** A witness or a group that a quorum lacks. */
export type Missing = MissingWitness | MissingGroup

/** A witness that has not cosigned. */
export interface MissingWitness {
  readonly kind: 'witness'
  readonly name: string
}

/** A group too few of whose members have. */
export interface MissingGroup {
  readonly kind: 'group'
  readonly name: string
  /** How many members must have cosigned, and how many have. */
  readonly threshold: number
  readonly met: number
  /** Those that have not. Any `threshold - met` of them would do. */
  readonly missing: readonly Missing[]
}

// Longest list of names that a message repeats.
const MOST_NAMES = 8

/**
 * Checks whether a set of witnesses meets the quorum. Witnesses are identified by their whole keys; their names in the
 * policy only connect groups with members.
 *
 * @param cosignedBy keys whose cosignatures have been verified; strangers and repetitions do not count
 */
export function evaluateQuorum(policy: Policy, cosignedBy: readonly VerifierKey[]): Quorum {
  if (policy.quorum === NO_QUORUM) return { met: true }
  // What each name lacks. Groups come after their members, so one pass will do, however deep they are nested.
  const lacks = new Map<string, Missing | undefined>()
  for (const { name, key } of policy.witnesses) {
    const hasCosigned = cosignedBy.some((other) => isSameKey(other, key))
    lacks.set(name, hasCosigned ? undefined : { kind: 'witness', name })
  }
  for (const group of policy.groups) lacks.set(group.name, lackOf(group, lacks))
  invariant(lacks.has(policy.quorum), 'the quorum of a policy is not defined in it')
  const missing = lacks.get(policy.quorum)
  return missing === undefined ? { met: true } : { met: false, missing }
}

/** Who is missing, for a person: `"g" has 1 of 2, without "w2", "w3"`. */
export function describeMissing(missing: Missing): string {
  if (missing.kind === 'witness') return showItem(missing.name)
  const shown = missing.missing.slice(0, MOST_NAMES).map((member) => {
    const text = describeMissing(member)
    return member.kind === 'witness' ? text : `(${text})`
  })
  const rest = missing.missing.length - shown.length
  const names = [...shown, ...(rest > 0 ? [`${rest} more`] : [])].join(', ')
  return `${showItem(missing.name)} has ${missing.met} of ${missing.threshold}, without ${names}`
}

/**
 * True if the same lines are by both. The name is a part of it: what an ML-DSA-44 key signs names the cosigner, so that
 * under another name, a log's for example, it has stated something else.
 */
export function isSameKey(a: VerifierKey, b: VerifierKey): boolean {
  return a.name === b.name && a.type === b.type && equalBytes(a.publicKey, b.publicKey)
}

function lackOf(
  { name, threshold, members }: PolicyGroup,
  lacks: ReadonlyMap<string, Missing | undefined>,
): Missing | undefined {
  // A policy that was not parsed must not pass for an easier one.
  const isSound = threshold >= 1 && members.every((member) => lacks.has(member))
  invariant(isSound, `the group ${showItem(name)} of a policy is none`)
  const missing = members.map((member) => lacks.get(member)).filter((lack) => lack !== undefined)
  const met = members.length - missing.length
  return met >= threshold ? undefined : { kind: 'group', name, threshold, met, missing }
}
