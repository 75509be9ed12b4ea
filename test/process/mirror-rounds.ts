import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { toHex } from '../../src/bytes/hex.ts'
import { HttpFiles } from '../../src/client/http-files.ts'
import { readEntries } from '../../src/client/verified-entries.ts'
import { VerifiedTiles } from '../../src/client/verified-tiles.ts'
import { parseCheckpoint } from '../../src/note/checkpoint.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, generateSigningKey, parseVerifierKey } from '../../src/note/key.ts'
import { openNote, type VerifierKey } from '../../src/note/note.ts'
import { addToLogList } from '../../src/witness/log-list.ts'
import { createMirror, makeCopy, mirrorFiles } from '../../src/mirror/config.ts'
import { rootAt } from '../../src/tile/prove.ts'
import { originHash } from '../../src/witness/logs.ts'
import { stele } from '../cli/fixture.ts'
import { FakeLog } from '../client/fake-log.ts'
import { asMirrored, checkpointAt, checkpointBody, tilesOf, uploadBody } from '../mirror/fixture.ts'
import { testFolder } from '../support/folder.ts'
import { Connection } from './connection.ts'
import { CosignerProcess } from './cosigner-process.ts'
import { Random } from './random.ts'
import { listenInTest } from '../support/listen.ts'

/** What happened in some rounds. */
export interface MirrorReport {
  rounds: number
  /** Cosignatures that were answered, and checkpoints that were seen served. */
  statements: number
  /** Uploads that were answered with 202, 409 and 422. */
  partial: number
  conflicts: number
  refused: number
  /** Requests that a kill left without an answer. */
  unanswered: number
  /** Sizes of the two copies at the end. */
  followed: number
  uploaded: number
}

const LEAVES = 40_000
/** Below this the two histories of the log that is uploaded are one. */
const COMMON = 700
const OCTETS = { 'content-type': 'application/octet-stream' }

interface Statement {
  readonly size: number
  readonly root: string
  readonly timestampSeconds: number
}

/** A log with one history or more, and what the mirror has stated about it. */
class Mirrored {
  readonly faces: readonly FakeLog[]
  readonly statements: Statement[] = []
  /** The histories that all statements so far are of, several while those are of what is common to them. */
  #left: readonly FakeLog[]
  #judged = 0

  constructor(faces: readonly FakeLog[]) {
    this.faces = faces
    this.#left = faces
  }

  get log(): FakeLog {
    return this.faces[0]!
  }

  get vkey(): string {
    return formatVerifierKey(this.log.key.verifier)
  }

  /** Holds what was stated since it was asked last against the histories that are left. @returns one that is */
  async face(): Promise<FakeLog | undefined> {
    for (const { size, root } of this.statements.slice(this.#judged)) {
      const left: FakeLog[] = []
      for (const face of this.#left) {
        const isIts = size <= face.tree.size && toHex(await rootAt(tilesOf(face), size)) === root
        if (isIts) left.push(face)
      }
      this.#left = left
      this.#judged++
    }
    return this.#left[0]
  }
}

/**
 * Kills a mirror again and again while it follows one log and two faces of another one upload to it, and holds what it
 * serves after each restart against everything that it ever stated.
 */
export async function mirrorRounds(rounds: number, seed: number): Promise<MirrorReport> {
  const folder = join(testFolder(), 'm')
  const info = await createMirror(folder, 'mirror.example/m1', [KEY_TYPE.ed25519Cosignature])
  const followed = new Mirrored([fakeLog('log.example/followed', 1)])
  const uploaded = new Mirrored([fakeLog('log.example/uploaded', 2), fakeLog('log.example/uploaded', 2)])
  await followed.log.add(texts(0, 2000))
  for (const [i, face] of uploaded.faces.entries()) {
    await face.add(texts(0, COMMON))
    await face.add(texts(COMMON, LEAVES, `face ${i}`))
  }
  const { logs } = mirrorFiles(folder)
  for (const { log } of [followed, uploaded]) await makeCopy(folder, log.origin)
  await addToLogList(logs, [], { ...asMirrored(followed.log), url: await serveFiles(followed.log) }, 'mirror')
  await addToLogList(logs, [], asMirrored(uploaded.log), 'mirror')
  const key = parseVerifierKey(info.verifierKeys[0]!)
  const run = new MirrorRun(folder, { followed, uploaded }, key, new Random(seed))
  for (let round = 0; round < rounds; round++) await run.round()
  return run.finish()
}

class MirrorRun {
  readonly #folder: string
  readonly #followed: Mirrored
  readonly #uploaded: Mirrored
  readonly #key: VerifierKey
  readonly #random: Random
  readonly #report: MirrorReport = {
    rounds: 0,
    statements: 0,
    partial: 0,
    conflicts: 0,
    refused: 0,
    unanswered: 0,
    followed: 0,
    uploaded: 0,
  }
  #killed = false

  constructor(
    folder: string,
    logs: { followed: Mirrored; uploaded: Mirrored },
    key: VerifierKey,
    random: Random,
  ) {
    this.#folder = folder
    this.#followed = logs.followed
    this.#uploaded = logs.uploaded
    this.#key = key
    this.#random = random
  }

  async round(): Promise<void> {
    if (this.#random.chance(0.2)) await this.#killStarting()
    const process = this.#start()
    const url = await process.url
    await this.#examine(url)
    this.#killed = false
    const busy = [
      this.#grow(),
      ...this.#uploaded.faces.flatMap((face) => [this.#upload(url, face), this.#upload(url, face)]),
    ]
    await wait(this.#random.between(20, 1200))
    this.#killed = true
    assert.equal((await process.kill()).signal, 'SIGKILL')
    await Promise.all(busy)
    this.#report.rounds++
  }

  /** The copies as anybody would check them, when nothing is moving any more. */
  async finish(): Promise<MirrorReport> {
    const process = this.#start()
    const url = await process.url
    const size = this.#followed.log.tree.size
    while ((await this.#served(url, this.#followed))?.size !== size) await wait(20)
    await this.#examine(url)
    for (const { log, vkey, statements } of [this.#followed, this.#uploaded]) {
      if (statements.length === 0) continue
      for (const command of ['fsck', 'audit']) {
        const at = `${url}/${originHash(log.origin)}`
        const ran = await stele([command, at, '--key', vkey])
        assert.equal(ran.code, 0, `${command} of ${log.origin}: ${ran.out}${ran.err}`)
      }
    }
    this.#report.followed = size
    this.#report.uploaded = this.#uploaded.statements.at(-1)?.size ?? 0
    assert.deepEqual(await process.stop(), { code: 0, signal: null })
    return this.#report
  }

  #start(): CosignerProcess {
    return new CosignerProcess(this.#folder, 'mirror', ['--poll-seconds', '0.02'])
  }

  async #killStarting(): Promise<void> {
    const process = this.#start()
    await wait(this.#random.between(1, 600))
    await process.kill()
  }

  async #grow(): Promise<void> {
    while (!this.#killed) {
      const { log } = this.#followed
      await log.add(texts(log.tree.size, log.tree.size + this.#random.between(1, 200)))
      await wait(this.#random.between(1, 40))
    }
  }

  /** One of several who upload a face of the log, a few packages at a time, going on where the answers say. */
  async #upload(url: string, face: FakeLog): Promise<void> {
    const connection = new Connection(url)
    let [known, end, start] = [0, 0, 0]
    while (!this.#killed) {
      try {
        const next = Math.min(LEAVES, known + this.#random.between(0, 900))
        const body = await checkpointBody(face, known, next)
        const added = await connection.ask('/add-checkpoint', { method: 'POST', body })
        if (added.status === 409) known = Number(added.body.toString())
        else if (added.status === 200) end = known = next
        else this.#report.refused++
        if (end === 0) end = known
        const packages = this.#random.between(1, 6)
        const upload = await uploadBody(face, { start: Math.min(start, end), end, packages })
        const answer = await connection.ask('/add-entries', { method: 'POST', body: upload, headers: OCTETS })
        const [size, nextEntry] = answer.body.toString().split('\n').map(Number)
        if (answer.status === 200) await this.#noteAnswer(answer.body.toString(), end)
        else if (answer.status === 202) this.#report.partial++
        else if (answer.status === 409) this.#report.conflicts++
        else this.#report.refused++
        if (answer.status === 202 || answer.status === 409) [end, start] = [size!, nextEntry!]
        // The face that lost has nothing more to say.
        if (answer.status === 422) return connection.close()
      } catch (error) {
        assert(this.#killed, `only a kill may cut a connection: ${(error as Error).message}`)
        this.#report.unanswered++
      }
    }
    connection.close()
  }

  /** An upload of nothing is answered to anybody, so it may be about the face that its sender does not know. */
  async #noteAnswer(lines: string, size: number): Promise<void> {
    const notes = await Promise.all(
      this.#uploaded.faces.map(async (face) => (await checkpointAt(face, size)) + lines),
    )
    const stated = notes.find((note) => verifies(note, this.#key))
    assert(stated !== undefined, `what was cosigned at size ${size} is of no history of the log`)
    await this.#note(this.#uploaded, stated)
  }

  /** What is served is never behind what was stated, is of the same history, and every entry of it is there. */
  async #examine(url: string): Promise<void> {
    for (const mirrored of [this.#followed, this.#uploaded]) {
      const largest = Math.max(-1, ...mirrored.statements.map(({ size }) => size))
      const served = await this.#served(url, mirrored)
      if (!served) {
        assert.equal(largest, -1, `${mirrored.log.origin}: what was cosigned is not served`)
        continue
      }
      assert(served.size >= largest, `${mirrored.log.origin} went back from ${largest} to ${served.size}`)
      const face = await mirrored.face()
      assert(face, `${mirrored.log.origin}: two histories were signed`)
      await this.#compare(`${url}/${originHash(face.origin)}`, face, served.size)
      checkTimes(mirrored.statements)
    }
  }

  async #compare(prefix: string, face: FakeLog, size: number): Promise<void> {
    const files = new HttpFiles(prefix)
    const tiles = new VerifiedTiles(files, { size, root: await rootAt(tilesOf(face), size) })
    let at = 0
    for await (const { index, entry } of readEntries(files, tiles, 0, size)) {
      assert(index === at && Buffer.compare(entry, face.entries[at]!) === 0, `entry ${at} is another`)
      at++
    }
    assert.equal(at, size)
  }

  async #served(url: string, mirrored: Mirrored): Promise<Statement | undefined> {
    const answer = await fetch(`${url}/${originHash(mirrored.log.origin)}/checkpoint`)
    const note = await answer.text()
    if (answer.status === 404) return undefined
    openNote(note, [mirrored.log.key.verifier])
    return this.#note(mirrored, note)
  }

  /** Whatever the mirror has cosigned binds it. */
  async #note(mirrored: Mirrored, note: string): Promise<Statement> {
    const { signatures, text } = openNote(note, [this.#key])
    const { size, root } = parseCheckpoint(text)
    const timestampSeconds = Number(Buffer.from(signatures[0]!.signature).readBigUInt64BE())
    const statement = { size, root: toHex(root), timestampSeconds }
    mirrored.statements.push(statement)
    this.#report.statements++
    return statement
  }
}

function verifies(note: string, key: VerifierKey): boolean {
  try {
    openNote(note, [key])
    return true
  } catch {
    return false
  }
}

/** Larger trees were cosigned later. */
function checkTimes(statements: readonly Statement[]): void {
  const bySize = statements.toSorted((a, b) => a.size - b.size || a.timestampSeconds - b.timestampSeconds)
  const times = bySize.map(({ timestampSeconds }) => timestampSeconds)
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  )
}

function fakeLog(origin: string, seed: number): FakeLog {
  const log = new FakeLog()
  log.origin = origin
  log.key = generateSigningKey(origin, new Uint8Array(32).fill(seed))
  return log
}

function texts(begin: number, end: number, label = ''): string[] {
  return Array.from({ length: end - begin }, (_, i) => `${label} entry ${begin + i}`)
}

/** Serves a log as files, as it grows. */
async function serveFiles(log: FakeLog): Promise<string> {
  const server = createServer((req, res) => {
    const bytes = log.file(req.url!.slice(1))
    res.statusCode = bytes ? 200 : 404
    res.end(bytes)
  })
  return `http://127.0.0.1:${await listenInTest(server)}`
}
