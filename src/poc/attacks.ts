import { accusations } from './accuse.ts'
import type { Attack } from './attack.ts'
import { diskAttacks } from './disk.ts'
import { mirrorAttacks } from './mirror.ts'
import { networkAttacks } from './network.ts'
import { signatureAttacks } from './signatures.ts'
import { stolenKeyAttacks } from './stolen-key.ts'
import { trailAttacks } from './trail.ts'
import { unseenAttacks } from './unseen.ts'

/** The whole suite, in the order of `proto-docs/threat-model.md`, which says who notices what. */
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
