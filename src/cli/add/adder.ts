import { join } from 'node:path'
import { toHex } from '../../bytes/hex.ts'
import type { LogClient } from '../../client/index.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { leafHash } from '../../merkle/hash.ts'
import type { Context } from '../context.ts'
import { DurableFiles } from '../files/durable.ts'
import { counted } from '../output/units.ts'
import { findBatch } from './settle.ts'
import type { Submission } from './submissions.ts'

/** Sends batches one after the other, so that indexes have the order of the entries. Owner of the counts. */
export class Adder {
  added = 0
  /** Entries that the log says it had already. */
  known = 0
  readonly #context: Context
  readonly #log: LogClient
  readonly #skipped: number
  readonly #proofDir: string | undefined
  /** Everything below this index was in the log before the next batch is sent. */
  #before: number

  constructor(context: Context, log: LogClient, skipped: number, proofDir: string | undefined) {
    this.#context = context
    this.#log = log
    this.#skipped = skipped
    this.#proofDir = proofDir
    this.#before = log.newest!.size
  }

  async add(batch: readonly Submission[]): Promise<void> {
    const { indexes, treeSize, duplicates } = await this.#send(batch)
    if (this.#proofDir !== undefined) await this.#writeProofs(this.#proofDir, indexes)
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
    this.known += duplicates.size
    this.#before = Math.max(this.#before, treeSize)
  }

  async #send(batch: readonly Submission[]): Promise<Sent> {
    const entries = batch.map(({ entry }) => entry)
    try {
      const { indexes, checkpoint, unverifiedDuplicates } = await this.#log.appendBatch(entries)
      return { indexes, treeSize: checkpoint.size, duplicates: new Set(unverifiedDuplicates) }
    } catch (error) {
      if (!hasCode(error, 'outcome_unknown', 'unreachable')) throw this.#withProgress(error)
      return this.#settle(entries, error)
    }
  }

  /** The client has sent again what may be sent again, so this is a log that allows duplicates, or it is gone. */
  async #settle(entries: readonly Uint8Array[], doubt: SteleError): Promise<Sent> {
    const found = await this.#find(entries)
    if (!found) {
      const next = this.#skipped + this.added
      const before = this.#before
      throw new SteleError(
        doubt.code,
        `${doubt.message}\n${this.#standing()} The next ${counted(entries.length, 'entry', 'entries')} may have been ` +
          `logged. A log that recognises duplicates (the default): run the same command again. One that allows them: ` +
          `see what it has from index ${before} on ("stele get ${before}.."), then go on with --skip ${next}, or ` +
          `--skip ${next + entries.length} if they are there`,
        { cause: doubt },
      )
    }
    const { begin, treeSize } = found
    this.#context.terminal.warn(`the answer to a batch was lost; the log has it from index ${begin} on`)
    return { indexes: entries.map((_, i) => begin + i), treeSize, duplicates: new Set() }
  }

  async #find(entries: readonly Uint8Array[]): ReturnType<typeof findBatch> {
    try {
      const known = this.#log.newest?.note
      const log = await this.#context.openLog({ deadlineMs: 2000, ...(known ? { known } : {}) })
      return await findBatch(log, entries, this.#before)
    } catch (error) {
      if (hasCode(error, 'unreachable', 'overloaded', 'shutting_down', 'log_halted', 'rate_limited'))
        return undefined
      throw error
    }
  }

  async #writeProofs(folder: string, indexes: readonly number[]): Promise<void> {
    const files = new DurableFiles()
    for (const index of indexes) {
      await files.write(join(folder, `${index}.tlog-proof`), (await this.#log.prove(index)).proof)
    }
    await files.sync()
  }

  #withProgress(error: unknown): unknown {
    if (!(error instanceof SteleError) || this.added === 0) return error
    return new SteleError(error.code, `${error.message}\n${this.#standing()}`, { cause: error })
  }

  #standing(): string {
    return `${counted(this.added, 'entry', 'entries')} of this run ${this.added === 1 ? 'is' : 'are'} in the log.`
  }
}

interface Sent {
  readonly indexes: readonly number[]
  readonly treeSize: number
  readonly duplicates: ReadonlySet<number>
}
