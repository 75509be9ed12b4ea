import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseCheckpoint } from '../../src/note/checkpoint.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { openNote, parseNote, type VerifierKey } from '../../src/note/note.ts'
import { createWitness, witnessFiles } from '../../src/witness/cosigner-folder.ts'
import { addToLogList } from '../../src/witness/log-list.ts'
import { originHash } from '../../src/witness/logs.ts'
import { testFolder } from '../support/folder.ts'
import { FakeLog } from '../witness/fake-log.ts'
import { Connection } from './connection.ts'
import { Random } from './random.ts'
import { CosignerProcess } from './cosigner-process.ts'

/** What happened in some rounds. */
export interface WitnessReport {
  rounds: number
  cosigned: number
  conflicts: number
  refused: number
  /** Requests that a kill left without an answer, and how many of those had been kept. */
  unanswered: number
  keptUnanswered: number
}

const LEAVES = 6000
/** Below this the two histories of a log are one. */
const COMMON = 20

/** A log with two histories, and what a witness has stated about it. */
class TwoFaced {
  readonly histories: readonly [FakeLog, FakeLog]
  /** What was answered with a cosignature, in the order of the answers: size and root hash in hex. */
  readonly answered: { size: number; root: string; timestampSeconds: number }[] = []

  constructor(origin: string) {
    const log = new FakeLog(origin, LEAVES)
    this.histories = [log, log.fork(COMMON)]
  }

  get origin(): string {
    return this.histories[0].origin
  }

  /** Which history a root hash is of; both below the fork. */
  facesOf(size: number, root: string): number[] {
    return [0, 1].filter((i) => Buffer.from(this.histories[i]!.root(size)).toString('hex') === root)
  }
}

/**
 * Kills a witness again and again while two faces of each of its logs race for its cosignature, and holds what it says
 * after each restart against everything that it ever answered.
 */
export async function witnessRounds(rounds: number, seed: number): Promise<WitnessReport> {
  const folder = join(testFolder(), 'w')
  const info = await createWitness(folder, 'witness.example/w1', [KEY_TYPE.ed25519Cosignature])
  const logs = ['log.example/a', 'log.example/b'].map((origin) => new TwoFaced(origin))
  for (const { histories } of logs)
    await addToLogList(witnessFiles(folder).logs, [], histories[0].asWitnessed)
  const run = new WitnessRun(folder, logs, parseVerifierKey(info.verifierKeys[0]!), new Random(seed))
  for (let round = 0; round < rounds; round++) await run.round()
  return run.finish()
}

class WitnessRun {
  readonly #folder: string
  readonly #logs: readonly TwoFaced[]
  readonly #key: VerifierKey
  readonly #random: Random
  readonly #report: WitnessReport = {
    rounds: 0,
    cosigned: 0,
    conflicts: 0,
    refused: 0,
    unanswered: 0,
    keptUnanswered: 0,
  }
  #killed = false

  constructor(folder: string, logs: readonly TwoFaced[], key: VerifierKey, random: Random) {
    this.#folder = folder
    this.#logs = logs
    this.#key = key
    this.#random = random
  }

  async round(): Promise<void> {
    if (this.#random.chance(0.2)) await this.#killStarting()
    const process = new CosignerProcess(this.#folder)
    const url = await process.url
    await this.#examine(url)
    this.#killed = false
    const racing = this.#logs.flatMap((log) => [0, 1].map((face) => this.#race(url, log, face)))
    await wait(this.#random.between(5, 250))
    this.#killed = true
    assert.equal((await process.kill()).signal, 'SIGKILL')
    await Promise.all(racing)
    this.#report.rounds++
  }

  async finish(): Promise<WitnessReport> {
    const process = new CosignerProcess(this.#folder)
    await this.#examine(await process.url)
    for (const log of this.#logs) this.#checkAnswers(log)
    assert.deepEqual(await process.stop(), { code: 0, signal: null })
    return this.#report
  }

  /** One face of a log asks again and again, from the size that it was told last. */
  async #race(url: string, log: TwoFaced, face: number): Promise<void> {
    const connection = new Connection(url)
    const history = log.histories[face]!
    let known = log.answered.at(-1)?.size ?? 0
    while (!this.#killed) {
      const size = Math.min(LEAVES, known + this.#random.between(0, 4))
      const body = await history.request(known, size)
      const answer = await connection.ask('/add-checkpoint', { method: 'POST', body }).catch(() => undefined)
      if (answer) {
        const { status, body: text } = answer
        known = await this.#note(log, history, { status, text: text.toString(), size, known })
      } else {
        assert(this.#killed, 'only a kill may cut a connection')
        this.#report.unanswered++
      }
    }
    connection.close()
  }

  /** Notes an answer. @returns the size that it tells */
  async #note(
    log: TwoFaced,
    history: FakeLog,
    { status, text, size, known }: { status: number; text: string; size: number; known: number },
  ): Promise<number> {
    if (status === 409) {
      this.#report.conflicts++
      return Number(text)
    }
    if (status === 422) {
      this.#report.refused++
      return known
    }
    assert.equal(status, 200)
    this.#report.cosigned++
    const note = (await history.checkpoint(size)) + text
    log.answered.push(statementOf(note, this.#key))
    return size
  }

  /** What is kept is never behind what was answered, and of the same history. */
  async #examine(url: string): Promise<void> {
    const connection = new Connection(url)
    for (const log of this.#logs) {
      const { status, body } = await connection.ask(`/${originHash(log.origin)}/checkpoint`)
      const last = log.answered.toSorted((a, b) => a.size - b.size).at(-1)
      if (status === 404) {
        assert.equal(last, undefined)
        continue
      }
      const kept = statementOf(body.toString(), this.#key)
      assert(kept.size >= (last?.size ?? 0), `${log.origin} went back from ${last?.size} to ${kept.size}`)
      if (kept.size > (last?.size ?? 0)) this.#report.keptUnanswered++
      // Whatever is kept was signed: nobody saw it, and it binds the witness all the same.
      log.answered.push(kept)
      this.#checkAnswers(log)
    }
    connection.close()
  }

  /** Everything that was ever cosigned is of one history, and its times go with its sizes. */
  #checkAnswers(log: TwoFaced): void {
    let faces = [0, 1]
    for (const { size, root } of log.answered)
      faces = log.facesOf(size, root).filter((face) => faces.includes(face))
    assert.notEqual(faces.length, 0, `${log.origin}: two histories were signed`)
    const bySize = log.answered.toSorted((a, b) => a.size - b.size || a.timestampSeconds - b.timestampSeconds)
    const times = bySize.map(({ timestampSeconds }) => timestampSeconds)
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    )
  }

  async #killStarting(): Promise<void> {
    const process = new CosignerProcess(this.#folder)
    await wait(this.#random.between(1, 500))
    await process.kill()
  }
}

/** Size, root hash and time of a cosigned note, whose cosignature is verified. */
function statementOf(
  note: string,
  key: VerifierKey,
): { size: number; root: string; timestampSeconds: number } {
  const { signatures } = openNote(note, [key])
  const { size, root } = parseCheckpoint(parseNote(note).text)
  const timestampSeconds = Number(Buffer.from(signatures[0]!.signature).readBigUInt64BE())
  return { size, root: Buffer.from(root).toString('hex'), timestampSeconds }
}
