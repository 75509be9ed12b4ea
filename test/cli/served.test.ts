import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { formatCheckpoint } from '../../src/note/checkpoint.ts'
import { parseSigningKey } from '../../src/note/key.ts'
import { signNote } from '../../src/note/note.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, lines, ORIGIN, serve, stele, type Ran } from './fixture.ts'

test('from lines to a proof that is verified offline', async () => {
  const { flags, key, stop } = await serve(await dataFolder())
  const folder = testFolder()
  const added = await stele(['add', '--lines', '--batch', '70', ...flags], { stdin: lines(600) })
  expect(added.code).toBe(0)
  expect(added.out).toBe(Array.from({ length: 600 }, (_, i) => `${i}\n`).join(''))
  expect(added.err).toContain('600 entries')

  const [proof, entry] = [join(folder, 'p.tlog-proof'), join(folder, 'entry')]
  expect((await stele(['prove', '123', '-o', proof, ...flags])).code).toBe(0)
  const got = await stele(['get', '123', ...flags])
  expect(got.out).toBe('line 123')
  writeFileSync(entry, got.bytes)
  await stop()

  const verified = await stele(['verify', proof, '--entry', entry, '--key', key])
  expect(verified).toMatchObject({ code: 0, err: '' })
  expect(verified.out).toBe(
    `verified: entry 123 of ${ORIGIN}, in the tree of size 600 that ${ORIGIN} signed\n` +
      `  signed       by ${ORIGIN}, time not stated\n  cosigned     by no witness whose key was given\n`,
  )
  const hash = toHex(leafHash(got.bytes))
  const json = await stele(['verify', proof, '--hash', hash, '--key', key, '--json'])
  expect(JSON.parse(json.out)).toEqual({
    verdict: 'verified',
    origin: ORIGIN,
    index: 123,
    leafHash: hash,
    treeSize: 600,
    signedBy: [ORIGIN],
    signatures: [{ name: ORIGIN, keyId: key.split('+')[1] }],
    cosignedBy: [],
    unverifiedNames: [],
  })
})

test('each way in which a proof fails has its verdict and its code', async () => {
  const { flags, key } = await serve(await dataFolder())
  await stele(['add', '--lines', ...flags], { stdin: lines(5) })
  const proof = (await stele(['prove', '3', ...flags])).out
  const otherKey = (await stele(['keygen', ORIGIN, '--json'])).out
  const vkey = (JSON.parse(otherKey) as { verifierKey: string }).verifierKey
  const verdict = async (text: string, ...more: string[]): Promise<[string, number]> => {
    const file = join(testFolder(), 'p')
    writeFileSync(file, text)
    const args = ['verify', file, '--entry', '-', '--json', ...(more.length > 0 ? more : ['--key', key])]
    const { out, code } = await stele(args, { stdin: 'line 3' })
    return [(JSON.parse(out) as { verdict: string }).verdict, code]
  }
  const [head, note] = [proof.slice(0, proof.indexOf('\n\n')), proof.slice(proof.indexOf('\n\n'))]
  expect(await verdict(proof)).toEqual(['verified', 0])
  expect(await verdict(proof.slice(1))).toEqual(['malformed', 10])
  expect(await verdict(proof, '--key', key, '--origin', 'other.example')).toEqual(['wrong_log', 11])
  expect(await verdict(proof, '--key', vkey)).toEqual(['untrusted_signer', 12])
  expect(await verdict(head + note.replace('\n5\n', '\n6\n'))).toEqual(['bad_signature', 13])
  expect(await verdict(head.slice(0, head.lastIndexOf('\n')) + note)).toEqual(['bad_proof', 14])
  expect(await verdict(proof.replace('index 3', 'index 2'))).toEqual(['wrong_entry', 15])
})

test('nothing is judged without a key, with a key that is none, or without a file', async () => {
  const file = join(testFolder(), 'missing')
  expect((await stele(['verify', file, '--entry', '-'])).code).toBe(2)
  expect((await stele(['verify', file, '--entry', '-', '--key', 'x+y+z'])).code).toBe(2)
  const { data } = await dataFolder()
  const { verifierKey } = JSON.parse(
    (await stele(['log', 'show', 'main', '--json', '--data', data])).out,
  ) as {
    verifierKey: string
  }
  const { code, err } = await stele(['verify', file, '--hash', '00'.repeat(32), '--key', verifierKey])
  expect([code, err]).toEqual([40, `stele: ${file}: there is no such file\n`])
})

test('add takes files, standard input, and repeats without duplicates', async () => {
  const { flags } = await serve(await dataFolder())
  const folder = testFolder()
  const [a, b] = [join(folder, 'a'), join(folder, 'b')]
  writeFileSync(a, 'first\nfile\n')
  writeFileSync(b, Buffer.from([0, 255, 10]))
  expect((await stele(['add', a, b, ...flags])).out).toBe('0\n1\n')
  expect((await stele(['add', ...flags], { stdin: '' })).out).toBe('2\n')
  const again = await stele(['add', b, '--json', ...flags])
  expect(JSON.parse(again.out)).toEqual({
    index: 1,
    leafHash: toHex(leafHash(Buffer.from([0, 255, 10]))),
    treeSize: 3,
    duplicate: true,
    file: b,
  })
  expect((await stele(['get', '1', ...flags])).bytes).toEqual(Buffer.from([0, 255, 10]))
  expect((await stele(['get', '2', ...flags])).bytes).toHaveLength(0)
})

test('add --lines: a byte order mark at the start is refused like an empty line', async () => {
  const { flags } = await serve(await dataFolder())
  for (const skip of [[], ['--skip-empty']]) {
    const { code, err } = await stele(['add', '--lines', ...skip, ...flags], { stdin: '\ufeffa\nb\n' })
    expect([code, err]).toEqual([10, expect.stringContaining('byte order mark')])
  }
})

test('add --lines: an empty line is refused by its number, or left out; a last line needs no line feed', async () => {
  const { flags } = await serve(await dataFolder())
  const refused = await stele(['add', '--lines', ...flags], { stdin: 'one\ntwo\n\nfour' })
  expect([refused.code, refused.out]).toEqual([10, ''])
  expect(refused.err).toContain('line 3')
  const left = await stele(['add', '--lines', '--skip-empty', '--json', ...flags], {
    stdin: 'one\ntwo\n\nfour\r',
  })
  const receipts = left.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { index: number; line: number })
  expect(receipts.map(({ index, line }) => [index, line])).toEqual([
    [0, 1],
    [1, 2],
    [2, 4],
  ])
  expect((await stele(['get', '2', ...flags])).out).toBe('four\r')
  const long = await stele(['add', '--lines', ...flags], { stdin: `x\n${'y'.repeat(65_536)}\n` })
  expect([long.code, long.err.includes('line 2')]).toEqual([6, true])
  expect((await stele(['add', '--lines', '--skip', '2', ...flags], { stdin: 'one\ntwo\nsix' })).out).toBe(
    '3\n',
  )
})

test('add --proof-dir writes a proof for every entry', async () => {
  const { flags, key } = await serve(await dataFolder())
  const folder = join(testFolder(), 'proofs')
  await stele(['add', '--lines', '--proof-dir', folder, ...flags], { stdin: 'a\nb\n' })
  const { code } = await stele(['verify', join(folder, '1.tlog-proof'), '--entry', '-', '--key', key], {
    stdin: 'b',
  })
  expect(code).toBe(0)
})

test('get writes a range as lines, as a bundle, or as JSON', async () => {
  const { flags } = await serve(await dataFolder())
  await stele(['add', '--lines', ...flags], { stdin: lines(300) })
  expect((await stele(['get', '254..258', ...flags])).out).toBe('line 254\nline 255\nline 256\nline 257\n')
  expect((await stele(['get', '298..', '--bundle', ...flags])).out).toBe('\0\x08line 298\0\x08line 299')
  const [json] = (await stele(['get', '299..300', '--json', ...flags])).out.trim().split('\n')
  expect(JSON.parse(json!)).toEqual({
    index: 299,
    leafHash: toHex(leafHash(Buffer.from('line 299'))),
    entry: Buffer.from('line 299').toString('base64'),
  })
  expect((await stele(['get', '300', ...flags])).code).toBe(5)
  expect(await stele(['get', '300..', ...flags])).toMatchObject({ code: 0, out: '' })
})

test('prove finds an entry by index, by hash and by its bytes', async () => {
  const { flags } = await serve(await dataFolder())
  await stele(['add', '--lines', ...flags], { stdin: lines(9) })
  const byIndex = await stele(['prove', '7', ...flags])
  const hash = toHex(leafHash(Buffer.from('line 7')))
  expect((await stele(['prove', '--hash', hash, ...flags])).out).toBe(byIndex.out)
  expect((await stele(['prove', '--entry', '-', ...flags], { stdin: 'line 7' })).out).toBe(byIndex.out)
  const json = JSON.parse((await stele(['prove', '7', '--json', ...flags])).out) as object
  expect(json).toEqual({ index: 7, leafHash: hash, treeSize: 9, proof: byIndex.out })
  expect((await stele(['prove', '--entry', '-', ...flags], { stdin: 'never' })).code).toBe(4)
})

test('consistency: a kept checkpoint is extended, one of another history is evidence', async () => {
  const { flags, data } = await serve(await dataFolder())
  const [old, newer] = [join(testFolder(), 'old'), join(testFolder(), 'new')]
  await stele(['add', '--lines', ...flags], { stdin: lines(300) })
  writeFileSync(old, (await stele(['checkpoint', ...flags])).out)
  await stele(['add', '--lines', ...flags], { stdin: lines(700) })
  writeFileSync(newer, (await stele(['checkpoint', ...flags])).out)
  expect(await stele(['consistency', old, ...flags])).toMatchObject({ code: 0, err: '' })
  const json = JSON.parse((await stele(['consistency', old, newer, '--json', ...flags])).out) as object
  expect(json).toMatchObject({ verdict: 'consistent', oldSize: 300, newSize: 700 })
  expect((await stele(['consistency', newer, old, ...flags])).code).toBe(17)

  // The same key, another history.
  const skey = parseSigningKey(readFileSync(join(data, 'logs/main/log.skey'), 'utf8').trim())
  const text = formatCheckpoint({ origin: ORIGIN, size: 250, root: leafHash(Buffer.from('another tree')) })
  const forked = join(testFolder(), 'forked')
  writeFileSync(forked, await signNote(text, [skey]))
  const fork = await stele(['consistency', forked, ...flags])
  expect([fork.code, fork.out]).toEqual([16, ''])
  expect(fork.err).toContain('evidence')
})

test('a log of another key, or none that answers, is not believed', async () => {
  const { url } = await serve(await dataFolder())
  const { key } = await dataFolder()
  expect((await stele(['checkpoint', '--url', url, '--key', key])).code).toBe(12)
  const nowhere = await stele([
    'checkpoint',
    '--url',
    'https://log.example/logs/main',
    '--data',
    '/nonexistent',
  ])
  expect(nowhere.code).toBe(2)
  expect(nowhere.err).toContain('verifier key')
})

test("a log on this machine is believed by its data folder's key", async () => {
  const { url, data } = await serve(await dataFolder())
  const head = await stele(['checkpoint', '--json'], { env: { STELE_URL: url, STELE_DATA: data } })
  expect(JSON.parse(head.out)).toMatchObject({
    origin: ORIGIN,
    treeSize: 0,
    rootHash: expect.any(String) as string,
  })
})

test('export: static files that fsck finds intact; a second run only adds', async () => {
  const { flags, key, data, stop } = await serve(await dataFolder())
  const folder = join(testFolder(), 'public')
  await stele(['add', '--lines', ...flags], { stdin: lines(600) })
  const first = JSON.parse((await stele(['export', folder, '--json', ...flags])).out) as object
  expect(first).toMatchObject({ origin: ORIGIN, treeSize: 600, written: 7, kept: 0 })
  await stele(['add', '--lines', ...flags], { stdin: lines(1000) })
  const second = JSON.parse((await stele(['export', folder, '--json', ...flags])).out) as object
  expect(second).toMatchObject({ treeSize: 1000, kept: 4, written: 5 })
  expect((await stele(['fsck', folder, '--key', key])).code).toBe(0)
  await stop()
  const stored = join(testFolder(), 'stored')
  expect((await stele(['export', stored, '--data', data])).code).toBe(0)
  expect(readFileSync(join(stored, 'tile/0/002'))).toEqual(readFileSync(join(folder, 'tile/0/002')))
  expect(existsSync(join(stored, 'tile/1/000.p/3'))).toBe(true)
})

test('export does not mix two logs, and keeps what an interrupted run left', async () => {
  const one = await serve(await dataFolder())
  const folder = join(testFolder(), 'public')
  await stele(['add', '--lines', ...one.flags], { stdin: lines(600) })
  await stele(['export', folder, ...one.flags])
  const two = await serve(await dataFolder())
  expect((await stele(['export', folder, ...two.flags])).code).toBe(12)
  expect((await stele(['export', one.data, ...one.flags])).code).toBe(2)

  writeFileSync(join(folder, 'tile/entries/001'), 'torn')
  rmSync(join(folder, 'checkpoint'))
  const again = JSON.parse((await stele(['export', folder, '--json', ...one.flags])).out) as object
  expect(again).toMatchObject({ kept: 4, written: 3 })
  expect((await stele(['fsck', folder, '--key', one.key])).code).toBe(0)
})

test('serve stops gracefully at the first signal, and at once at the second', async () => {
  const { data } = await dataFolder()
  let stop = (): void => {}
  let running: Promise<Ran> | undefined
  await new Promise<string>((onOut) => {
    const args = ['serve', '--data', data, '--open', '--port', '0', '--json', '--log-level', 'silent']
    running = stele(args, { onOut, onStop: (send) => (stop = send) })
  })
  stop()
  expect(stop).toThrow('exit 130')
  expect(await running).toMatchObject({ code: 0, err: '' })
})
