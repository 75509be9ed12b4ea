import type { LeafIndex } from '../storage/leaf-index.ts'
import type { LogStore } from '../storage/store.ts'
import type { Tree } from '../tile/grow.ts'
import type { SignedHead } from './head.ts'

/** What of a log is scrubbed, and what it is compared with. Nothing is written through it. */
export interface StoredParts {
  readonly origin: string
  readonly store: Pick<LogStore, 'inspect' | 'checkFiles'>
  readonly index: Pick<LeafIndex, 'cursor' | 'lookup' | 'checkFiles'>
  /** Checks both signatures of a head. @throws SteleError as `HeadSigner.verify` */
  verifyHead(head: SignedHead): void
  /** The newest tree that is in the store: verified when the log was opened, and grown in memory since. */
  tree(): Tree
}
