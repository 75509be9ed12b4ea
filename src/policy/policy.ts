import type { VerifierKey } from '../note/note.ts'

/** Whose signatures make a checkpoint valid (c2sp.org/tlog-policy): one of the logs, and a quorum of witnesses. */
export interface Policy {
  /** In the order of the file. May be empty where the log is known from elsewhere. No two have the same public key. */
  readonly logs: readonly PolicyLog[]
  /** No two have the same public key. */
  readonly witnesses: readonly PolicyWitness[]
  /** Each after the groups that are its members. */
  readonly groups: readonly PolicyGroup[]
  /** The name of a witness or group, or {@link NO_QUORUM}. */
  readonly quorum: string
}

/** A log that is listed. */
export interface PolicyLog {
  /** Its name is the log's origin. Of a type that signs checkpoints: not 0x04. */
  readonly key: VerifierKey
  /** Its meaning is defined by the application. */
  readonly url?: string
}

/** A witness that is listed. */
export interface PolicyWitness {
  /** What this policy calls it; the name in its key is another one. See `octets.ts` for bytes that are not UTF-8. */
  readonly name: string
  /** Of type 0x04 or 0x06. */
  readonly key: VerifierKey
  /** As a rule its submission prefix (c2sp.org/tlog-witness). */
  readonly url?: string
}

/** Several witnesses or groups, of which a given number must have cosigned. */
export interface PolicyGroup {
  readonly name: string
  /** 1 to the number of members. */
  readonly threshold: number
  /** At least one. A name may be a member only once in the whole policy, so that no witness counts twice. */
  readonly members: readonly string[]
}

/** The quorum that asks for no cosignature. No witness or group may be called so. */
export const NO_QUORUM = 'none'

/** Most logs, witnesses and groups, of each. c2sp.org/tlog-policy recommends to support 32. */
export const MAX_DEFINITIONS = 256

/** Most bytes in a policy: room for 512 ML-DSA-44 keys of 1.8 kB with their names and URLs. */
export const MAX_POLICY_BYTES = 2_000_000
