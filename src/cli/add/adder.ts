import { join } from 'node:path'
import { equalBytes } from '../../bytes/bytes.ts'
import { toHex } from '../../bytes/hex.ts'
import { MAX_PROVEN_ENTRIES } from '../../client/answers.ts'
import type { LogClient } from '../../client/index.ts'
import { isPassing } from '../../client/retry.ts'
import { isDenied } from '../../client/served-proofs.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { type Hash, leafHash } from '../../merkle/hash.ts'
import type { Context } from '../context.ts'
import { DurableFiles } from '../files/durable.ts'
import { counted } from '../output/units.ts'
import type { Submission } from './submissions.ts'

/** Sends batches one after the other, so that indexes follow the order of the entries. Owns the counts. */
export class Adder {
  /** Number of entries that are in the log now, including those that it already had. */
  added = 0
  /** Number of entries that the log already had and did not append again. */
  known = 0
  /** Number of those that equal an entry of this run. */
  equal = 0
  /** Index of the first entry that the log already had. */
  firstKnown: number | undefined
  readonly #context: Context
  readonly #log: LogClient
  readonly #skipped: number
  readonly #proofDir: string | undefined
  /** Size of the log at the start of the run. */
  readonly #atStart: number
  /** Entries below this index were in the log before the next batch is sent. */
  #before: number

  constructor(context: Context, log: LogClient, skipped: number, proofDir: string | undefined) {
    this.#context = context
    this.#log = log
    this.#skipped = skipped
    this.#proofDir = proofDir
    this.#atStart = log.newest!.size
    this.#before = this.#atStart
  }

  async add(batch: readonly Submission[]): Promise<void> {
    const { indexes, treeSize, duplicates, proofs } = await this.#send(batch)
    if (this.#proofDir !== undefined) await this.#writeProofs(this.#proofDir, indexes, proofs)
    const { terminal } = this.#context
    for (const [i, { entry, file, line }] of batch.entries()) {
      const index = indexes[i]!
      const receipt = {
        index,
        leafHash: toHex(leafHash(entry)),
        treeSize,
        duplicate: duplicates.has(i),
        file,
      }
      await terminal.result(line === undefined ? receipt : { ...receipt, line }, String(index))
    }
    this.added += batch.length
    this.#count([...duplicates].map((i) => indexes[i]!))
    this.#before = Math.max(this.#before, treeSize)
  }

  #count(known: readonly number[]): void {
    this.known += known.length
    this.equal += known.filter((index) => index >= this.#atStart).length
    this.firstKnown ??= known[0]
  }

  async #send(batch: readonly Submission[]): Promise<Sent> {
    const entries = batch.map(({ entry }) => entry)
    try {
      const options = { proofs: this.#proofDir !== undefined && entries.length <= MAX_PROVEN_ENTRIES }
      const { indexes, checkpoint, unverifiedDuplicates, proofs } = await this.#log.appendBatch(
        entries,
        options,
      )
      return { indexes, treeSize: checkpoint.size, duplicates: new Set(unverifiedDuplicates), proofs }
    } catch (error) {
      const inDoubt = hasCode(error, 'outcome_unknown', 'unreachable') && !error.acknowledged
      if (!inDoubt) throw this.#withProgress(error, entries.length)
      return this.#settle(entries, error)
    }
  }

  /**
   * The client repeats requests that are safe to repeat. A failure here means that the log allows duplicates or is
   * unreachable.
   */
  async #settle(entries: readonly Uint8Array[], doubt: SteleError): Promise<Sent> {
    const found = await this.#find(entries)
    if (!found) {
      const next = this.#skipped + this.added
      const before = this.#before
      throw new SteleError(
        doubt.code,
        `${doubt.message}\n${this.#standing()} The next ${counted(entries.length, 'entry', 'entries')} may have been ` +
          `logged. If the log recognises duplicates (the default), run the same command again. If it allows them, ` +
          `check its entries from index ${before} on ("stele get ${before}.."), then continue with --skip ${next}, or ` +
          `--skip ${next + entries.length} if they are there`,
        { cause: doubt },
      )
    }
    const { begin, treeSize } = found
    this.#context.terminal.warn(
      `the response to a batch was lost, but the log has the batch from index ${begin} on`,
    )
    return { indexes: entries.map((_, i) => begin + i), treeSize, duplicates: new Set(), proofs: undefined }
  }

  async #find(entries: readonly Uint8Array[]): ReturnType<typeof findBatch> {
    try {
      const known = this.#log.newest?.note
      const log = await this.#context.openLog({ deadlineMs: 2000, ...(known ? { known } : {}) })
      return await findBatch(log, entries, this.#before)
    } catch (error) {
      // A writer may not be allowed to read a private log.
      if (isDenied(error) || isPassing(error) || hasCode(error, 'log_halted')) return undefined
      throw error
    }
  }

  async #writeProofs(
    folder: string,
    indexes: readonly number[],
    proofs: readonly string[] | undefined,
  ): Promise<void> {
    const files = new DurableFiles()
    for (const [i, index] of indexes.entries()) {
      const proof = proofs?.[i] ?? (await this.#log.prove(index)).proof
      await files.write(join(folder, `${index}.tlog-proof`), proof)
    }
    await files.sync()
  }

  #withProgress(error: unknown, sent: number): unknown {
    if (!(error instanceof SteleError)) return error
    const { acknowledged } = error
    if (acknowledged) this.added += sent
    if (this.added === 0) return error
    return new SteleError(error.code, `${error.message}\n${this.#standing()}`, { cause: error, acknowledged })
  }

  #standing(): string {
    return `${counted(this.added, 'entry', 'entries')} of this run ${this.added === 1 ? 'is' : 'are'} in the log.`
  }
}

interface Sent {
  readonly indexes: readonly number[]
  readonly treeSize: number
  readonly duplicates: ReadonlySet<number>
  /** Writes a proof file for each entry, if the response has proofs. */
  readonly proofs: readonly string[] | undefined
}

/**
 * Finds out whether a batch was logged although its response was lost. A batch is one contiguous run of new entries, so
 * a log that allows duplicates has the whole run after its earlier entries, or none of it.
 *
 * @param before tree size before the batch was sent
 * @returns the index of its first entry, and the size of a signed tree that covers it; undefined if the run is not
 *   there (yet)
 */
async function findBatch(
  log: LogClient,
  batch: readonly Uint8Array[],
  before: number,
): Promise<{ begin: number; treeSize: number } | undefined> {
  const wanted = batch.map(leafHash)
  const { size } = await log.checkpoint()
  const found: Hash[] = []
  if (size - before < batch.length) return undefined
  for await (const entry of log.entries(before, size)) found.push(entry.leafHash.slice() as Hash)
  for (let at = 0; at + wanted.length <= found.length; at++) {
    if (wanted.every((hash, i) => equalBytes(hash, found[at + i]!)))
      return { begin: before + at, treeSize: size }
  }
  return undefined
}
