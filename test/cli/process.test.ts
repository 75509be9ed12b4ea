import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { SteleError } from '../../src/errors.ts'
import type { Io } from '../../src/cli/io.ts'
import { reportError } from '../../src/cli/report.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, lines, serve } from './fixture.ts'

const MAIN = new URL('../../dist/cli/bin.cjs', import.meta.url).pathname

interface Child {
  readonly process: ChildProcess
  readonly ended: Promise<{ code: number | null; out: string; err: string }>
  /** Resolves with the first match in standard output. */
  seen(pattern: RegExp): Promise<RegExpExecArray>
}

function start(args: string[], { cwd, env }: { cwd?: string; env?: Record<string, string> } = {}): Child {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { PATH: process.env['PATH'], ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  let [out, err] = ['', '']
  child.stderr.on('data', (part: Buffer) => (err += part.toString()))
  child.stdout.on('data', (part: Buffer) => (out += part.toString()))
  const ended = new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, out, err }))
  })
  const seen = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(out)
        if (match) resolve(match)
      }
      look()
      child.stdout.on('data', look)
      child.on('close', () => reject(new Error(`ended without ${pattern}: ${out}${err}`)))
    })
  return { process: child, ended, seen }
}

test('start on nothing: a served log, and commands to copy that work', async () => {
  const cwd = testFolder()
  const child = start(['start', '--port', '0'], { cwd })
  const [, commands] = await child.seen(/(  printf [^]*\/v1\/entries)\n/)
  const [, verify] = await child.seen(/npx --no-install stele (verify [^\n]*)/)
  expect(existsSync(join(cwd, 'data/stele.json'))).toBe(true)
  execFileSync('bash', ['-ec', commands!], { cwd })
  const args = verify!.split(' ').map((arg) => arg.replaceAll("'", ''))
  expect(await start(args, { cwd }).ended).toMatchObject({ code: 0, err: '' })
  child.process.kill('SIGTERM')
  expect(await child.ended).toMatchObject({ code: 0, err: '' })
})

test('start --memory leaves nothing behind', async () => {
  const tmp = mkdtempSync(join(testFolder(), 'tmp-'))
  const child = start(['start', '--memory', '--port', '0', '--json'], { cwd: tmp, env: { TMPDIR: tmp } })
  await child.seen(/"logs":\[/)
  expect(readdirSync(tmp)).toHaveLength(1)
  child.process.kill('SIGINT')
  expect(await child.ended).toMatchObject({ code: 0 })
  expect(readdirSync(tmp)).toEqual([])
})

test('serve says where in JSON, and a taken port is a sentence', async () => {
  const { data } = await dataFolder()
  const child = start(['serve', '--data', data, '--open', '--port', '0', '--json', '--log-level', 'silent'])
  const [line] = await child.seen(/.*\n/)
  const { url } = JSON.parse(line) as { url: string }
  const other = await dataFolder()
  const second = start([
    'serve',
    '--data',
    other.data,
    '--open',
    '--port',
    new URL(url).port,
    '--log-level',
    'silent',
  ])
  const { code, err } = await second.ended
  expect(code).toBe(40)
  expect(err).toMatch(/^stele: cannot listen on [^\n]*EADDRINUSE[^\n]*\n$/)
})

test('a reader that goes away ends the program quietly, and not with 0', async () => {
  const { url, flags } = await serve(await dataFolder())
  await fetch(`${url}/v1/batches`, {
    method: 'POST',
    body: lines(5000),
    headers: { 'content-type': 'application/x-ndjson' },
  })
  const child = start(['get', '0..', '--json', ...flags])
  child.process.stdout!.once('data', () => child.process.stdout!.destroy())
  expect(await child.ended).toMatchObject({ code: 141, err: '' })
})

test('failures are one sentence, never a stack trace; STELE_DEBUG=1 shows it', async () => {
  const plain = await start(['log', 'list', '--data', '/nonexistent']).ended
  expect(plain.code).toBe(30)
  expect(plain.err).toMatch(/^stele: \/nonexistent: [^\n]*\n$/)
  const debug = await start(['log', 'list', '--data', '/nonexistent'], { env: { STELE_DEBUG: '1' } }).ended
  expect(debug.err).toMatch(/\n +at /)
})

test('a bug is called a bug, with its own code, and without a stack trace', () => {
  const said = (error: unknown, env: Record<string, string> = {}): [number, string] => {
    let text = ''
    const io = { stderr: { write: (part: string) => (text += part).length > 0 }, env } as unknown as Io
    return [reportError(error, io), text]
  }
  for (const bug of [new TypeError('x is undefined'), new SteleError('internal', 'internal error: y')]) {
    const [code, text] = said(bug)
    expect(code).toBe(70)
    expect(text).toContain('this is a bug in stele')
    expect(text).not.toMatch(/^ +at /m)
    expect(said(bug, { STELE_DEBUG: '1' })[1]).toMatch(/^ +at /m)
  }
  expect(said(new SteleError('locked', 'main: in use'))).toEqual([32, 'stele: main: in use\n'])
})
