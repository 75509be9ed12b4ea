import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseSigningKey, parseVerifierKey } from '../../src/note/key.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, stele } from './fixture.ts'

test('init makes a folder, prints the verifier key, and never overwrites', async () => {
  const data = join(testFolder(), 'data')
  const made = await stele(['init', '--data', data, '--public-url', 'https://log.example:8443/x/'])
  expect(made.code).toBe(0)
  expect(parseVerifierKey(made.out.trim()).name).toBe('log.example:8443/x/logs/main')
  expect(made.err).toContain('Back up')
  const again = await stele(['init', '--data', data])
  expect(again).toMatchObject({ code: 3, out: '' })
  const shown = await stele(['log', 'show', 'main', '--data', data, '--json'])
  expect(JSON.parse(shown.out)).toMatchObject({ name: 'main', verifierKey: made.out.trim(), treeSize: 0 })
})

const PUBLIC = ['--public-url', 'https://log.example']

test('init with --json or --quiet makes no remarks', async () => {
  const folder = testFolder()
  const json = await stele([
    'init',
    '--data',
    join(folder, 'a'),
    '--json',
    '--name',
    'audit',
    '--allow-duplicates',
    ...PUBLIC,
  ])
  expect(json.err).toBe('')
  expect(JSON.parse(json.out)).toMatchObject({ name: 'audit', origin: 'log.example/logs/audit' })
  expect((await stele(['init', '--data', join(folder, 'b'), '--quiet', ...PUBLIC])).err).toBe('')
})

test.each([
  ['--name', '../x'],
  ['--name', 'UPPER'],
  ['--origin', 'with space'],
  ['--public-url', 'ftp://x'],
  ['--public-url', 'https://user:secret@x'],
])('init %s %s is refused and leaves nothing behind', async (option, value) => {
  const data = join(testFolder(), 'data')
  const { code, err } = await stele(['init', '--data', data, option, value])
  expect(code).toBe(2)
  expect(err).not.toContain('secret')
  expect(existsSync(data)).toBe(false)
})

test('init refuses a folder that holds something else', async () => {
  const data = testFolder()
  writeFileSync(join(data, 'letter.txt'), 'dear')
  expect((await stele(['init', '--data', data])).code).toBe(31)
  expect(readdirSync(data)).toEqual(['letter.txt'])
})

test('log create adds a log with keys of its own, log list names both', async () => {
  const { data, key } = await dataFolder()
  const made = await stele(['log', 'create', 'billing', '--data', data, '--origin', 'billing.example'])
  expect(made.code).toBe(0)
  expect(made.out.trim()).not.toBe(key)
  expect((await stele(['log', 'create', 'billing', '--data', data])).code).toBe(3)
  const listed = await stele(['log', 'list', '--json', '--data', data])
  expect(JSON.parse(listed.out)).toMatchObject([
    { name: 'billing', origin: 'billing.example' },
    { name: 'main', verifierKey: key },
  ])
  expect((await stele(['log', 'list', '--data', data])).out.split('\n')).toHaveLength(3)
  expect((await stele(['log', 'show', 'other', '--data', data])).code).toBe(4)
})

test('a data folder that is not there, of a newer format, or without a key: each has its code', async () => {
  const folder = testFolder()
  expect((await stele(['serve', '--data', join(folder, 'none')])).code).toBe(30)
  const newer = join(folder, 'newer')
  await stele(['init', '--data', newer])
  writeFileSync(join(newer, 'stele.json'), '{"format":"stele data folder","version":2}')
  expect((await stele(['log', 'list', '--data', newer])).code).toBe(31)
  const { data } = await dataFolder()
  chmodSync(join(data, 'logs/main/log.skey'), 0o644)
  const { code, err } = await stele(['serve', '--data', data, '--port', '0', '--log-level', 'silent'])
  expect(code).toBe(34)
  expect(err).toContain('chmod 600')
})

test('keygen writes a private key that only its owner can read, and never overwrites', async () => {
  const out = join(testFolder(), 'log.skey')
  const made = await stele(['keygen', 'log.example/x', '--out', out])
  expect(made.code).toBe(0)
  expect(statSync(out).mode & 0o777).toBe(0o600)
  const secret = readFileSync(out, 'utf8').trimEnd()
  expect(parseSigningKey(secret).verifier.id).toBe(parseVerifierKey(made.out.trim()).id)
  expect(made.out + made.err).not.toContain(secret)
  expect((await stele(['keygen', 'other', '--out', out])).code).toBe(3)
  expect(readFileSync(out, 'utf8').trimEnd()).toBe(secret)
})

test('keygen without a file prints both keys, the private one first', async () => {
  const [skey, vkey] = (await stele(['keygen', 'log.example/x'])).out.trim().split('\n')
  expect(parseSigningKey(skey!).verifier.id).toBe(parseVerifierKey(vkey!).id)
  const json = JSON.parse((await stele(['keygen', 'n', '--json'])).out) as Record<string, string>
  expect(Object.keys(json)).toEqual(['name', 'verifierKey', 'signingKey'])
  expect((await stele(['keygen', 'two words'])).code).toBe(2)
})
