import type { VerifierKey } from '../note/note.ts'
import { followRotations, parseRotation, splitRotations } from '../note/rotation.ts'
import type { Policy } from './policy.ts'
import { isSameKey } from './quorum.ts'

/**
 * A policy whose log has new keys: those that statements by its listed ones lead to are listed, too.
 *
 * @param rotations statements of one log (`note/rotation.ts`)
 * @throws SteleError as `followRotations`
 */
export function policyWithRotations(policy: Policy, rotations: string | Uint8Array): Policy {
  const [first] = splitRotations(rotations)
  if (first === undefined) return policy
  const { origin } = parseRotation(first)
  const listed = policy.logs.filter(({ key }) => key.name === origin)
  const keys = followRotations({ origin, verifiers: listed.map(({ key }) => key) }, rotations)
  const isListed = (key: VerifierKey): boolean => listed.some((log) => isSameKey(log.key, key))
  const url = listed.find((log) => log.url !== undefined)?.url
  const added = keys
    .filter((key) => !isListed(key))
    .map((key) => ({ key, ...(url === undefined ? {} : { url }) }))
  return { ...policy, logs: [...policy.logs, ...added] }
}
