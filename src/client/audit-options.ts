import type { Hash } from '../merkle/hash.ts'
import type { VerifierKey } from '../note/note.ts'
import type { Policy } from '../policy/policy.ts'
import type { FullTile, Tree } from '../tile/grow.ts'

/** How far an audit has come. */
export interface AuditProgress {
  /** Entries read, those of an earlier audit included. */
  readonly entries: number
  /** Where it ends. */
  readonly size: number
  /** What those entries make: handed in as `from`, an audit goes on there. The head speaks for it only at the end. */
  readonly tree: Tree
}

/** Entries that were read and compared with the tiles above them. The signed head speaks for them only at the end. */
export interface AuditedStretch {
  /** Index of the first one. */
  readonly from: number
  readonly entries: readonly Uint8Array[]
  /** The tiles that became full with them. */
  readonly tiles: readonly FullTile[]
}

/** How to audit, and against whose signature. */
export interface AuditOptions {
  readonly origin: string
  readonly verifierKeys: readonly (string | VerifierKey)[]
  /** Whose cosignatures the checkpoint must carry. Its `log` lines do not count. */
  readonly policy?: Policy | undefined
  /** True if `verifierKeys` are those of the mirror that the files are of: it speaks for its copy. Default false. */
  readonly ofMirror?: boolean | undefined
  /** The tree of an earlier report: what it covers is taken as checked. Default: the empty tree. */
  readonly from?: Tree | undefined
  /** `derived` for a source that keeps full tiles only, so that there are no partial ones to compare. Default `stored`. */
  readonly partialTiles?: 'stored' | 'derived' | undefined
  /** Told after every bundle; throwing in it ends the audit. */
  readonly onProgress?: ((progress: AuditProgress) => void) | undefined
  /** Handed every stretch in order, and waited for; throwing in it ends the audit. */
  readonly onStretch?: ((stretch: AuditedStretch) => Promise<void>) | undefined
  /**
   * Another implementation's look at every full level-0 tile; throws if it gets another root.
   *
   * @param tileIndex of the level-0 tile
   * @param leafHashes 8,192 bytes, valid during the call
   * @param expectedRoot what this program makes of them; the level above is compared with it afterwards
   */
  readonly secondOpinion?:
    ((tileIndex: number, leafHashes: Uint8Array, expectedRoot: Hash) => void | Promise<void>) | undefined
}
