import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import {
  keepEvidence,
  type EvidenceEvents,
  type EvidenceKeeper,
  type PrefixShown,
} from '../witness/evidence.ts'
import { contradictionIn, type Contradiction, type Verdict } from '../witness/judge.ts'
import { verifiersOf, type WitnessKey } from '../witness/keys.ts'
import { checkLogs, originHash, signedBy, type WitnessedLog } from '../witness/logs.ts'
import { parseAddCheckpoint, type AddCheckpoint } from '../note/add-checkpoint.ts'
import { type ByteReader, readHeader } from './packages.ts'
import type { MirroredLog } from './log.ts'
import { logSigned, type LogSigned, type Shown } from './signed.ts'
import { receiveUpload, type Tickets, type Uploaded } from './upload.ts'

/** What a mirror is made of. */
export interface MirrorParts {
  /** At first, opened; see {@link Mirror.replaceLogs}. */
  readonly logs: readonly MirroredLog[]
  readonly keys: readonly WitnessKey[]
  readonly tickets: Tickets
  readonly evidence: EvidenceKeeper
  readonly events: EvidenceEvents
  readonly nowMs: () => number
}

/** A mirror (c2sp.org/tlog-mirror): keeps copies of logs, and cosigns what it has all entries of. */
export class Mirror {
  readonly #parts: MirrorParts
  #byOrigin: ReadonlyMap<string, MirroredLog> = new Map()
  #byHash: ReadonlyMap<string, MirroredLog> = new Map()
  #unopened: ReadonlyMap<string, SteleError> = new Map()

  /** @throws SteleError `usage` for logs that no mirror with these keys can have */
  constructor(parts: MirrorParts) {
    this.#parts = parts
    this.replaceLogs(parts.logs)
  }

  get logs(): readonly MirroredLog[] {
    return [...this.#byOrigin.values()]
  }

  /**
   * Refuses logs that no mirror with these keys can have.
   *
   * @throws SteleError `usage`
   */
  checkLogs(logs: readonly WitnessedLog[]): void {
    checkLogs(logs, verifiersOf(this.#parts.keys))
  }

  /**
   * Serves copies of these logs from now on, and of no others. Requests that have found their log go on with it: see
   * `MirroredLog.hold`.
   *
   * @param unopened why the copies of other logs could not be opened, by origin. Requests for them fail with that error
   * @throws SteleError as {@link checkLogs}, and then nothing is changed
   */
  replaceLogs(logs: readonly MirroredLog[], unopened: ReadonlyMap<string, SteleError> = new Map()): void {
    this.checkLogs(logs.map(({ log }) => log))
    this.#byOrigin = new Map(logs.map((log) => [log.origin, log]))
    this.#byHash = new Map(logs.map((log) => [log.hash, log]))
    this.#unopened = unopened
  }

  /** Why nothing is cosigned for a log, by origin; undefined where it is. */
  get failures(): ReadonlyMap<string, SteleError | undefined> {
    const opened = this.logs.map(({ origin, failure, damage }) => [origin, failure ?? damage] as const)
    return new Map([...this.#unopened, ...opened])
  }

  get keys(): readonly WitnessKey[] {
    return this.#parts.keys
  }

  /**
   * A log by the hash of its origin, in lower-case hex. Undefined for one that is not mirrored.
   *
   * @throws SteleError why its copy could not be opened
   */
  get(hash: string): MirroredLog | undefined {
    for (const [origin, failure] of this.#unopened) if (originHash(origin) === hash) throw failure
    return this.#byHash.get(hash)
  }

  /**
   * Accepts a checkpoint by the rules of a witness. It cosigns nothing; the checkpoint determines which entries may be
   * uploaded next.
   *
   * @returns `cosign` once it is the pending one, on disk; otherwise the answer of a witness
   * @throws SteleError `malformed`, `out_of_range`; `not_found` for a log that is not mirrored; as `MirroredLog.append`
   */
  async addCheckpoint(body: Uint8Array): Promise<Verdict> {
    const request = parseAddCheckpoint(body)
    const log = this.#logOf(request.checkpoint.origin)
    const lines = signedBy(log.log, request)
    if (lines instanceof SteleError) return { kind: 'refused', error: lines }
    const signed = logSigned(lines, { seenAtMs: this.#parts.nowMs(), isServed: false })
    return log.holding(async () => {
      const { verdict, held } = await log.movePending(signed, request)
      await this.keepEvidence(log, { signed, held, request, verdict })
      return verdict
    })
  }

  /**
   * Takes an `add-entries`, piece by piece.
   *
   * @throws SteleError `malformed` for a body of which nothing can be used; `not_found` for a log that is not mirrored;
   *   as `receiveUpload`
   */
  async addEntries(reader: ByteReader): Promise<Uploaded> {
    const header = await readHeader(reader)
    const log = this.#logOf(header.origin)
    const { tickets } = this.#parts
    return log.holding(() => receiveUpload({ log, tickets, header, reader }))
  }

  /** Stores the evidence against a log, if there is any. @returns true if there was */
  async keepEvidence(log: MirroredLog, found: Judged): Promise<boolean> {
    const { signed, held, request, verdict } = found
    const { checkpoint, note: suspect } = signed
    const judged = { ...request, checkpoint }
    const kind = found.kind ?? contradictionIn(held?.checkpoint, judged, verdict)
    if (!kind) return false
    const { evidence, events } = this.#parts
    const urlOf = (shown: Shown | undefined) => (shown?.isServed ? log.url : undefined)
    await keepEvidence(evidence, events, {
      kind,
      log: log.log,
      held: held?.note,
      suspect,
      request,
      proof: found.proof,
      heldAtMs: held?.seenAtMs,
      seenAtMs: signed.seenAtMs,
      heldUrl: urlOf(held),
      suspectUrl: urlOf(signed),
    })
    return true
  }

  #logOf(origin: string): MirroredLog {
    const log = this.#byOrigin.get(origin)
    if (log) return log
    const failure = this.#unopened.get(origin)
    if (failure) throw failure
    throw new SteleError('not_found', `origin ${excerpt(origin)}: this mirror does not know that log`)
  }
}

/** A checkpoint, and what was found when it was held against another one. */
export interface Judged {
  readonly signed: LogSigned
  readonly held: LogSigned | undefined
  readonly request: Pick<AddCheckpoint, 'oldSize' | 'path'>
  readonly verdict: Verdict
  /** What it is, where the verdict does not say it. */
  readonly kind?: Contradiction
  /** For two sizes, where tiles of the larger tree show that they are of two histories. */
  readonly proof?: PrefixShown | undefined
}
