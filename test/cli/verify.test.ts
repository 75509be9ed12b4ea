import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { sha256 } from '../../src/merkle/hash.ts'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey } from '../../src/note/key.ts'
import { formatNote, parseNote } from '../../src/note/note.ts'
import { formatProofFile, parseProofFile } from '../../src/note/proof-file.ts'
import { FakeLog, ORIGIN, VKEY } from '../client/fake-log.ts'
import { testFolder } from '../support/folder.ts'
import { stele } from './fixture.ts'

let log: FakeLog
beforeAll(async () => {
  log = await FakeLog.create(5)
})

/** A folder of files, in which `P3` stands for the proof of entry 3. */
async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = testFolder()
  for (const [name, text] of Object.entries(files)) {
    const proof = /^P(\d)$/.exec(text)?.[1]
    writeFileSync(join(folder, name), proof === undefined ? text : await log.prove(Number(proof)))
  }
  return folder
}

const verify = (...args: string[]) => stele(['verify', ...args, '--key', VKEY])
const jsonLines = (out: string) =>
  out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('one proof', () => {
  test('is held against the entry beside it, and an entry that an editor saved again is not called a forgery', async () => {
    const folder = await folderOf({
      'a.tlog-proof': 'P1',
      'a.txt': 'entry 1',
      'b.tlog-proof': 'P2',
      'b.log': 'entry 2\n',
    })
    expect((await verify(join(folder, 'a.tlog-proof'))).code).toBe(0)
    const saved = await verify(join(folder, 'b.tlog-proof'))
    expect(saved.code).toBe(15)
    expect(saved.out).toContain('wrong_entry: entry: this file is not what was logged, byte for byte')
    expect(saved.out).toContain('a line feed was added at its end')
    expect(saved.out).not.toContain('another entry')
  })

  test('says who signed and cosigned, and the times that they state', async () => {
    const witness = generateCosignerKey('w.example/1', KEY_TYPE.ed25519Cosignature)
    const stranger = generateCosignerKey('w.example/2', KEY_TYPE.ed25519Cosignature)
    const { text, signatures } = parseNote(log.note)
    const lines = [...signatures, witness.cosign(text, 1_764_000_000), stranger.cosign(text, 1_764_000_001)]
    const file = parseProofFile(await log.prove(1))
    const proof = formatProofFile({ ...file, checkpoint: formatNote({ text, signatures: lines }) })
    const policy = `log ${VKEY}\nwitness one ${formatVerifierKey(witness.verifier)}\nquorum one\n`
    const folder = await folderOf({ 'a.tlog-proof': proof, a: 'entry 1', policy })
    const path = join(folder, 'a.tlog-proof')

    const { out, code } = await stele(['verify', path, '--policy', join(folder, 'policy')])
    expect(code).toBe(0)
    expect(out).toBe(
      `verified: entry 1 of ${ORIGIN}, in the tree of size 5 that ${ORIGIN} signed\n` +
        `  signed       by ${ORIGIN}, time not stated\n` +
        '  cosigned     by one, who states the time 2025-11-24T16:00:00.000Z\n' +
        '  not checked  signatures under the names w.example/2: their keys were not given\n',
    )
    const json = await stele(['verify', path, '--policy', join(folder, 'policy'), '--json'])
    expect(JSON.parse(json.out)).toMatchObject({
      signatures: [{ name: ORIGIN }],
      cosignedBy: [{ name: 'one', timestampSeconds: 1_764_000_000 }],
      unverifiedNames: ['w.example/2'],
    })
    expect((await verify(path)).out).toContain('cosigned     by no witness whose key was given')
  })

  test('takes the key as a file, as an editor saves it', async () => {
    const folder = await folderOf({
      'a.tlog-proof': 'P1',
      a: 'entry 1',
      key: `\uFEFF${VKEY}\r\n`,
      none: 'hello',
    })
    const proof = join(folder, 'a.tlog-proof')
    expect((await stele(['verify', proof, '--key', join(folder, 'key')])).code).toBe(0)
    expect((await stele(['verify', proof], { env: { STELE_KEY: join(folder, 'key') } })).code).toBe(0)
    const wrong = await stele(['verify', proof, '--key', join(folder, 'none')])
    expect(wrong.code).toBe(2)
    expect(wrong.err).toContain('--key: expected a verifier key, or a file that holds one')
    expect((await stele(['verify', proof, '--key', join(folder, 'missing')])).code).toBe(2)
    expect((await stele(['verify', proof, '--key', folder])).code).toBe(40)
  })
})

describe('several proofs', () => {
  test('of a folder are verified with a line each, and only all of them make the code 0', async () => {
    const good = {
      'a.tlog-proof': 'P1',
      a: 'entry 1',
      'b.tlog-proof': 'P2',
      'b.txt': 'entry 2',
      '.hidden': '',
    }
    const all = await verify(await folderOf(good), '--json')
    expect(all.code).toBe(0)
    expect(jsonLines(all.out)).toMatchObject([
      { verdict: 'verified', index: 1 },
      { verdict: 'verified', index: 2 },
      { summary: true, verified: 2, failed: 0 },
    ])
    const text = await verify(await folderOf(good))
    expect(text.out).toContain('\n2 verified, none failed\n')
  })

  test.each([
    ['an entry that was changed', { a: 'entry x' }, 'wrong_entry', 15],
    ['a proof that is none', { 'a.tlog-proof': 'x' }, 'malformed', 10],
    ['a proof without an entry', { 'c.tlog-proof': 'P3' }, 'no_entry', 4],
    [
      'a proof with two entries',
      { 'c.tlog-proof': 'P3', 'c.txt': 'entry 3', 'c.log': 'entry 3' },
      'no_entry',
      4,
    ],
    ['a file without a proof', { 'notes.txt': 'x' }, 'no_proof', 4],
  ])('%s fails the whole folder', async (_, more, verdict, code) => {
    const good = { 'a.tlog-proof': 'P1', a: 'entry 1', 'b.tlog-proof': 'P2', 'b.txt': 'entry 2' }
    const ran = await verify(await folderOf({ ...good, ...more }), '--json')
    expect(ran.code).toBe(code)
    const found = jsonLines(ran.out)
    expect(found.map((line) => line['verdict'])).toContain(verdict)
    expect(found.at(-1)).toMatchObject({ summary: true })
    expect(found.at(-1)!['failed']).toBeGreaterThan(0)
  })

  test('a folder in it is not looked into, and says so; one without proofs is a mistake', async () => {
    const folder = await folderOf({ 'a.tlog-proof': 'P1', a: 'entry 1' })
    mkdirSync(join(folder, 'more'))
    const ran = await verify(folder)
    expect(ran.code).toBe(4)
    expect(ran.out).toContain('more: no_proof: a folder, which is not searched')
    expect((await verify(join(folder, 'more'))).code).toBe(2)
  })

  test('the name itself wins over one with an extension; keys and policies are no entries', async () => {
    const folder = await folderOf({
      'a.txt.tlog-proof': 'P1',
      'a.txt': 'entry 1',
      'a.txt.bak': 'old',
      'log.vkey': VKEY,
      policy: `log ${VKEY}\nquorum none\n`,
    })
    const flags = ['--key', join(folder, 'log.vkey'), '--policy', join(folder, 'policy')]
    const ran = await stele(['verify', folder, '--json', ...flags])
    expect(jsonLines(ran.out)).toMatchObject([
      { verdict: 'verified' },
      { verdict: 'no_proof', entry: join(folder, 'a.txt.bak') },
      { verified: 1, failed: 1 },
    ])
  })

  test('are paired in order, or by their names', async () => {
    const folder = await folderOf({
      p: 'P1',
      q: 'P2',
      one: 'entry 1',
      two: 'entry 2',
      'r.tlog-proof': 'P3',
      r: 'entry 3',
    })
    const at = (name: string): string => join(folder, name)
    expect((await verify(at('p'), at('q'), '--entry', at('one'), '--entry', at('two'))).code).toBe(0)
    expect((await verify(at('p'), at('q'), '--entry', at('two'), '--entry', at('one'))).code).toBe(15)
    expect((await verify(at('p'), at('q'), '--entry', at('one'))).code).toBe(2)
    expect((await verify(at('r.tlog-proof'), at('r.tlog-proof'))).code).toBe(0)
    expect((await verify(at('r.tlog-proof'), at('missing.tlog-proof'))).code).toBe(4)
    expect((await verify(at('p'), at('missing'), '--entry', at('one'), '--entry', at('two'))).code).toBe(40)
    expect((await verify(at('p'), '-', '--entry', at('one'), '--entry', at('two'))).code).toBe(2)
  })
})

describe('--report', () => {
  test('says what was verified, when, with which version, key and files, and what failed', async () => {
    const folder = await folderOf({
      'a.tlog-proof': 'P1',
      a: 'entry 1',
      'b.tlog-proof': 'P2',
      b: 'entry 2\r\n',
      'c.tlog-proof': 'P3',
    })
    const report = join(folder, 'report.txt')
    expect((await verify(folder, '--report', report)).code).toBe(15)
    const text = readFileSync(report, 'utf8')
    const hash = (content: string): string => toHex(sha256(encodeUtf8(content)))
    const version = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version
    for (const part of [
      /^On \d{4}-\d\d-\d\dT[\d:.]+Z, by the clock of the computer in use, stele /,
      `stele ${version} (Node.js ${process.version}) held 3 items against the log ${ORIGIN}, offline`,
      `${VKEY} (SHA-256 of this text: ${hash(VKEY)})`,
      'Result: 1 verified, 2 FAILED.',
      `${join(folder, 'a.tlog-proof')} (SHA-256 ${hash(await log.prove(1))})`,
      `${join(folder, 'a')} (SHA-256 ${hash('entry 1')}). It is entry 1 of ${ORIGIN}`,
      `2. FAILED, wrong_entry: the proof ${join(folder, 'b.tlog-proof')}`,
      'CRLF was added at its end',
      '3. FAILED, no_entry',
    ]) {
      expect(text).toMatch(part)
    }
    const again = await verify(folder, '--report', report)
    expect(again).toMatchObject({ code: 3, out: '' })
    expect(readFileSync(report, 'utf8')).toBe(text)
  })

  test('is written for one proof, too, and not for evidence', async () => {
    const folder = await folderOf({ 'a.tlog-proof': 'P1', a: 'entry 1' })
    const report = join(folder, 'r')
    const proof = join(folder, 'a.tlog-proof')
    expect((await verify(proof, '--entry', join(folder, 'a'), '--report', report)).code).toBe(0)
    expect(readFileSync(report, 'utf8')).toContain('Result: 1 verified, none failed.')
    expect((await verify('--evidence', proof, '--report', `${report}2`)).code).toBe(2)
  })
})
