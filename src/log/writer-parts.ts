import type { SteleError } from '../errors.ts'
import type { Tree } from '../tile/grow.ts'
import type { SignedHead } from './head.ts'
import { Indexer } from './indexer.ts'
import { Intake } from './intake.ts'
import { LeafFinder } from './leaf-finder.ts'
import { UNOBSERVED, type LogObserver } from './observer.ts'
import type { LogOptions, LogParts } from './options.ts'
import { Pool } from './pool.ts'
import type { TileReader } from './reader.ts'
import { Sealer } from './sealer.ts'
import { Sequencer } from './sequencer.ts'

/** What a log was verified to hold when it was opened. */
export interface Verified {
  readonly tree: Tree
  readonly head: SignedHead
  readonly published: SignedHead
  /** The latest timestamp that is known to have been signed: later than the head's after some crashes. */
  readonly signedUntilMs: number
}

/** What a writer is made of, beside the parts of its log. */
export interface WriterDeps {
  readonly parts: LogParts
  readonly options: LogOptions
  readonly verified: Verified
  /** Reads below the committed size; what it is asked for first comes after the writer is there. */
  readonly reader: TileReader
  /** Told of every head once it is in both of its places, in order. */
  readonly onHead: (head: SignedHead) => void
}

/** The stations of an entry on its way in, and who counts what passes them. */
export interface WriterParts {
  readonly pool: Pool
  readonly intake: Intake
  readonly sequencer: Sequencer
  readonly sealer: Sealer
  readonly indexer: Indexer
  readonly observer: LogObserver
}

/**
 * Puts the stations together.
 *
 * @param onIndexLost told when the leaf index cannot be completed
 */
export function writerParts(
  { parts, options, verified, reader }: Omit<WriterDeps, 'onHead'>,
  onIndexLost: (failure: SteleError) => void,
): WriterParts {
  const { nowMs, allowDuplicates } = options
  const observer = parts.observer ?? UNOBSERVED
  const pool = new Pool(options.pool, nowMs)
  const finder = new LeafFinder(parts.index, (indexes) => reader.leafHashes(indexes))
  const intake = new Intake({ pool, finder, allowDuplicates, observer, behind: () => indexer.behind })
  const indexer: Indexer = new Indexer({
    observer,
    index: parts.index,
    reader,
    size: verified.tree.size,
    mayRepeat: allowDuplicates,
    forget: (leaves) => intake.forget(leaves),
    onLost: onIndexLost,
    ...(options.indexing ? { step: options.indexing.step } : {}),
  })
  const sequencer = new Sequencer({ ...parts, ...verified, nowMs })
  return { pool, intake, sequencer, sealer: new Sealer(parts.headFile, observer), indexer, observer }
}
