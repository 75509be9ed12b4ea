import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import type { MadeKey } from '../../src/access/keyring.ts'
import { encodeBundle, decodeBundle } from '../../src/tile/bundle.ts'
import { formatBundlePath } from '../../src/tile/path.ts'
import { initAccess } from '../../src/instance/access-files.ts'
import { unaccounted, type LogAccount } from '../../src/audit-trail/trail-state.ts'
import { MAIN, ServerProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { Examiner } from './examiner.ts'
import { Ledger } from './ledger.ts'
import { makeLogFolder, prefix, type LogFolder } from './log-folder.ts'
import { Random } from './random.ts'

/** What happened in some rounds with keys. */
export interface AccessReport {
  rounds: number
  /** Requests that were answered, all of which have their line. */
  answered: number
  /** Requests that a kill cut off, and how many of them have a line all the same. */
  cutOff: number
  cutOffAndTraced: number
  /** Keys whose making or end was answered, or cut off. */
  keyActs: number
  keyActsInDoubt: number
  lines: number
  pages: number
  /** Entries that a kill cut off from their line, each of which the next start names. */
  entriesWithoutLine: number
}

/** A line of the meta log. */
type Line = Readonly<Record<string, unknown>> & { readonly kind: string }

/** A key that was made over HTTP, and whether it is valid; undefined: a kill left that open. */
interface MadeAndSent {
  readonly key: string
  valid: boolean | undefined
}

/**
 * Kills a server with access control again and again, under load that takes keys. After each restart every entry that
 * was acknowledged is there, every request that was answered has its one line in the meta log, and every key is what
 * its maker was told.
 */
export async function accessRounds(rounds: number, seed: number): Promise<AccessReport> {
  const log = await makeLogFolder()
  const { key } = await initAccess(log.folder, 'log.example/meta')
  const run = new AccessRun(log, key, seed)
  await run.begin()
  for (let round = 0; round < rounds; round++) await run.round(round)
  return run.finish()
}

class AccessRun {
  readonly #log: LogFolder
  readonly #provisioning: string
  readonly #random: Random
  readonly #ledger = new Ledger()
  readonly #examiner: Examiner
  /** By the number in its query, what each request was answered with; undefined while nobody knows. */
  readonly #statuses = new Map<number, number | undefined>()
  readonly #keys: MadeAndSent[] = []
  #writer = ''
  #auditor = ''
  #starts = 0
  #changedStarts = 0
  readonly #report: AccessReport = {
    rounds: 0,
    answered: 0,
    cutOff: 0,
    cutOffAndTraced: 0,
    keyActs: 0,
    keyActsInDoubt: 0,
    lines: 0,
    pages: 0,
    entriesWithoutLine: 0,
  }

  constructor(log: LogFolder, provisioning: string, seed: number) {
    this.#log = log
    this.#provisioning = provisioning
    this.#random = new Random(seed)
    this.#examiner = new Examiner(log, this.#ledger)
  }

  async begin(): Promise<void> {
    const server = await this.#start()
    const url = await server.url
    this.#writer = (await this.#makeKey(url, 'writer')).key
    this.#auditor = (await this.#makeKey(url, 'auditor')).key
    assert.deepEqual(await server.stop(), { code: 0, signal: null })
  }

  async round(number: number): Promise<void> {
    const server = await this.#start()
    const url = await server.url
    await this.#examine(url)
    const load = Promise.all([
      ...Array.from({ length: 8 }, (_, i) => this.#write(url, `${number}.${i}`)),
      ...Array.from({ length: 4 }, () => this.#read(url)),
      this.#changeKeys(url),
    ])
    await wait(this.#random.between(5, 500))
    if (this.#random.chance(0.2)) {
      server.signal('SIGTERM')
      await wait(this.#random.between(0, 60))
    }
    await server.kill()
    await load
    this.#report.rounds++
  }

  async finish(): Promise<AccessReport> {
    const server = await this.#start()
    const url = await server.url
    await this.#examine(url)
    await new Examiner(this.#log, this.#ledger).examine(prefix(url))
    const lines = await this.#lines(url)
    this.#checkStarts(lines)
    this.#checkAccounts(lines)
    assert.deepEqual(await server.stop(), { code: 0, signal: null })
    for (const name of ['meta', 'main']) {
      const { status, stdout, stderr } = spawnSync(process.execPath, [
        MAIN,
        'fsck',
        name,
        '--data',
        this.#log.folder,
      ])
      assert.equal(status, 0, `fsck ${name}: ${String(stdout)}${String(stderr)}`)
    }
    const answers = [...this.#statuses.values()]
    this.#report.answered = answers.filter((status) => status !== undefined).length
    this.#report.cutOff = answers.length - this.#report.answered
    return this.#report
  }

  /** Each start names exactly the entries since the start before that no line speaks of. */
  #checkAccounts(lines: readonly Line[]): void {
    let size = 0
    let spokenOf = new Set<number>()
    for (const line of lines) {
      const { index, entries, logs } = line as { index?: number; entries?: number; logs?: LogAccount[] }
      for (let i = 0; i < (entries ?? 0); i++) spokenOf.add(index! + i)
      const main = line.kind === 'start' ? logs?.find(({ log }) => log === 'main') : undefined
      if (main?.size === undefined) continue
      const missing = Array.from({ length: main.size - size }, (_, i) => size + i).filter(
        (i) => !spokenOf.has(i),
      )
      const named = unaccounted(main).flatMap(([begin, end]) =>
        Array.from({ length: end - begin }, (_, i) => begin + i),
      )
      assert.deepEqual(named, missing)
      this.#report.entriesWithoutLine += missing.length
      size = main.size
      spokenOf = new Set()
    }
    assert.ok(size > 0)
  }

  async #start(): Promise<ServerProcess> {
    const server = new ServerProcess(this.#log.folder, { open: false })
    await server.url
    this.#starts++
    if (server.output.includes('changed without a record in the audit trail')) this.#changedStarts++
    return server
  }

  async #makeKey(url: string, role: string): Promise<MadeKey> {
    const connection = new Connection(url, { key: this.#provisioning })
    const body = Buffer.from(JSON.stringify({ role, logs: '*' }))
    const answer = await connection.ask('/v1/keys', { method: 'POST', body })
    connection.close()
    assert.equal(answer.status, 201)
    return JSON.parse(String(answer.body)) as MadeKey
  }

  /** Notes what becomes of one request with a number of its own. */
  async #counted(ask: (id: number) => Promise<{ status: number }>): Promise<boolean> {
    const id = 1_000_000 + this.#statuses.size
    this.#statuses.set(id, undefined)
    const answer = await ask(id).catch(() => undefined)
    if (answer) this.#statuses.set(id, answer.status)
    return answer !== undefined
  }

  async #write(url: string, name: string): Promise<void> {
    const connection = new Connection(prefix(url), { key: this.#writer })
    for (let i = 0, goesOn = true; goesOn; i++) {
      const entries = Array.from({ length: i % 5 === 0 ? 20 : 1 }, (_, j) => `${name} ${i} ${j}`)
      goesOn = await this.#counted((id) => this.#append(connection, entries, id))
    }
    connection.close()
  }

  async #append(connection: Connection, entries: readonly string[], id: number): Promise<{ status: number }> {
    entries.forEach((entry) => this.#ledger.submit(entry))
    const bodies = entries.map((entry) => Buffer.from(entry))
    const single = entries.length === 1
    const body = single ? bodies[0]! : encodeBundle(bodies)
    const headers = single ? {} : { 'content-type': 'application/vnd.c2sp.entry-bundle' }
    try {
      const answer = await connection.ask(`${single ? 'v1/entries' : 'v1/batches'}?timeout=${id}`, {
        method: 'POST',
        body,
        headers,
      })
      if (answer.status === 200) {
        const receipt = JSON.parse(String(answer.body)) as { index?: number; begin: number }
        entries.forEach((entry, i) =>
          this.#ledger.acknowledge({ entry, index: (receipt.index ?? receipt.begin) + i }),
        )
      } else {
        entries.forEach((entry) => this.#ledger.doubt(entry))
      }
      return answer
    } catch (error) {
      entries.forEach((entry) => this.#ledger.doubt(entry))
      throw error
    }
  }

  async #read(url: string): Promise<void> {
    const connection = new Connection(prefix(url), { key: this.#auditor })
    while (await this.#counted((id) => connection.ask(`v1/checkpoint?after=0&timeout=${id}`)));
    connection.close()
  }

  /** Makes keys and ends them, one after the other, and notes what is known of each. */
  async #changeKeys(url: string): Promise<void> {
    const connection = new Connection(url, { key: this.#provisioning })
    const body = Buffer.from('{"role":"reader","logs":"*"}')
    const post = (path: string, content?: Buffer) =>
      connection.ask(path, { method: 'POST', ...(content ? { body: content } : {}) }).catch(() => undefined)
    for (;;) {
      const made = await post('/v1/keys', body)
      if (made?.status !== 201) {
        this.#report.keyActsInDoubt++
        break
      }
      const { key, info } = JSON.parse(String(made.body)) as MadeKey
      const known: MadeAndSent = { key, valid: true }
      this.#keys.push(known)
      this.#report.keyActs++
      if (this.#random.chance(0.3)) continue
      known.valid = undefined
      const ended = await post(`/v1/keys/${info.id}/revoke`)
      if (ended?.status !== 200) {
        this.#report.keyActsInDoubt++
        break
      }
      known.valid = false
      this.#report.keyActs++
    }
    connection.close()
  }

  async #examine(url: string): Promise<void> {
    await this.#examiner.examine(prefix(url))
    await this.#checkKeys(url)
    this.#checkLines(await this.#lines(url))
  }

  /** The newest keys are what their maker was told; the older ones were looked at in the rounds before. */
  async #checkKeys(url: string): Promise<void> {
    for (const { key, valid } of this.#keys.slice(-12)) {
      if (valid === undefined) continue
      const connection = new Connection(url, { key })
      const { status } = await connection.ask('/healthz')
      connection.close()
      // One network guesses twenty times at most; what it is told then is no 200 either.
      if (valid) assert.equal(status, 200)
      else assert.ok(status === 401 || status === 429, `a key that was revoked is answered with ${status}`)
    }
  }

  /** Every request that was answered has exactly one line with the same status, and no line speaks of another one. */
  #checkLines(lines: readonly Line[]): void {
    const told = new Map<number, number>()
    for (const { kind, query, status } of lines) {
      const id = Number(/timeout=(\d+)/.exec(typeof query === 'string' ? query : '')?.[1])
      if (kind !== 'request' || !this.#statuses.has(id)) continue
      assert.ok(!told.has(id), `request ${id} has two lines`)
      told.set(id, status as number)
    }
    let traced = 0
    for (const [id, status] of this.#statuses) {
      if (status === undefined) traced += told.has(id) ? 1 : 0
      // Without a trace nothing is answered but that.
      else if (status !== 503)
        assert.equal(told.get(id), status, `request ${id} was answered, and has no such line`)
    }
    this.#report.cutOffAndTraced = traced
  }

  /** Every server that listened has said that it started, and what it found changed is a key act that a kill cut off. */
  #checkStarts(lines: readonly Line[]): void {
    const starts = lines.filter(({ kind }) => kind === 'start')
    assert.equal(starts.length, this.#starts)
    const changed = starts.filter(({ changed: parts }) => (parts as string[]).length > 0)
    assert.equal(changed.length, this.#changedStarts)
    for (const { changed: parts } of changed) assert.deepEqual(parts, ['access'])
    assert.ok(changed.length <= this.#report.keyActsInDoubt)
  }

  /** All lines of the meta log, read as an auditor reads them. */
  async #lines(url: string): Promise<Line[]> {
    const connection = new Connection(`${url}/logs/meta/`, { key: this.#auditor })
    const size = Number(String((await connection.ask('checkpoint')).body).split('\n')[1])
    const lines: Line[] = []
    for (let at = 0; at < size; at += 256) {
      const width = Math.min(256, size - at)
      const answer = await connection.ask(formatBundlePath(at / 256, width))
      assert.equal(answer.status, 200)
      for (const page of decodeBundle(answer.body, width)) {
        for (const line of Buffer.from(page).toString().trimEnd().split('\n'))
          lines.push(JSON.parse(line) as Line)
      }
    }
    connection.close()
    this.#report.lines = lines.length
    this.#report.pages = size
    return lines
  }
}
