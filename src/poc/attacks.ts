import { accusations, unseenAttacks } from './unseen.ts'
import type { Attack } from './attack.ts'
import { diskAttacks } from './disk.ts'
import { mirrorAttacks } from './mirror.ts'
import { networkAttacks } from './network.ts'
import { signatureAttacks, stolenKeyAttacks } from './signatures.ts'
import { trailAttacks } from './trail.ts'

/**
 * The whole suite, in the order of `proto-docs/threat-model.md`, which documents the parties that notice each attack.
 */
export const ATTACKS: readonly Attack[] = [
  ...diskAttacks,
  ...mirrorAttacks,
  ...networkAttacks,
  ...signatureAttacks,
  ...stolenKeyAttacks,
  ...accusations,
  ...trailAttacks,
  ...unseenAttacks,
]
