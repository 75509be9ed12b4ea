import type { Mirror } from './mirror.ts'
import type { MirrorLimits } from './limits.ts'
import type { CosignerHttpDeps } from '../witness/deps.ts'

/** What the HTTP layer of a mirror is given. */
export interface MirrorHttpDeps extends CosignerHttpDeps {
  readonly mirror: Mirror
  readonly limits: MirrorLimits
}
