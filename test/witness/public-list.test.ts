import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, generateSigningKey } from '../../src/note/key.ts'
import { loadPublicList, MAX_LIST_BYTES, parsePublicList } from '../../src/witness/public-list.ts'
import { testFolder } from '../support/folder.ts'

const vkeyOf = (name: string, seed = 1): string =>
  formatVerifierKey(generateSigningKey(name, new Uint8Array(32).fill(seed)).verifier)
const own = generateCosignerKey('witness.example/w1', KEY_TYPE.ed25519Cosignature)

/** As the members of the witness network publish theirs. */
const TEXT = `#
# List:      10qps-100klogs
#
logs/v0

# 1st list item
vkey ${vkeyOf('tlog.example/a')}
qpd 86400
contact https://tlog.example/contact

  vkey ${vkeyOf('tlog.example/b')}
origin go.sum database tree
qpd 24
contact sysadmin (at) tlog.example
`

const YAML = `Logs:
  - Origin: go.sum database tree
    URL: https://sum.example
    PublicKey: ${vkeyOf('sum.example')}
    Feeder: sumdb
  - PublicKey: ${vkeyOf('tiles.example/t')}
    URL: https://tiles.example/t/
    Feeder: tiles
`

const origins = (text: string, kind: 'witness' | 'mirror' = 'witness'): string[] =>
  parsePublicList(text, [own.verifier], kind).logs.map(({ origin }) => origin)

test('the text that litewitness and omniwitness pull is read, comments, blank lines and origins included', () => {
  expect(origins(TEXT)).toEqual(['tlog.example/a', 'go.sum database tree'])
  expect(origins(TEXT.replaceAll('\n', '\r\n'))).toHaveLength(2)
  expect(origins('# nothing yet\nlogs/v0\n')).toEqual([])
})

test('the YAML of omniwitness is read, and a mirror follows those of its logs that have tiles', () => {
  expect(origins(YAML)).toEqual(['go.sum database tree', 'tiles.example/t'])
  const urls = (kind: 'witness' | 'mirror'): unknown[] =>
    parsePublicList(YAML, [], kind).logs.map(({ url }) => url)
  expect(urls('mirror')).toEqual([undefined, 'https://tiles.example/t/'])
  expect(urls('witness')).toEqual([undefined, undefined])
})

test.each([
  ['a key of an unknown type', 'tlog.example/x+00000000+Zg==', 'expected a known type'],
  [
    "a cosigner's key",
    formatVerifierKey(generateCosignerKey('c.example', KEY_TYPE.ed25519Cosignature).verifier),
    'cosigner key',
  ],
  ["the witness's own key", formatVerifierKey(own.verifier), 'cosigner key'],
  ['a log that is there twice', vkeyOf('tlog.example/a', 2), 'it is there twice'],
  ['what is no key', 'nonsense', 'verifier key'],
])('%s is left out and told, and the rest of the list is used', (_, vkey, why) => {
  const { logs, skipped } = parsePublicList(
    `${TEXT}vkey ${vkey}\nqpd 1\ncontact c\n`,
    [own.verifier],
    'witness',
  )
  expect(logs).toHaveLength(2)
  expect(skipped).toEqual([expect.stringContaining(why)])
})

test.each([
  ['another header', TEXT.replace('logs/v0', 'logs/v1')],
  ['an empty file', ''],
  ['a page that says that the list moved', '<html><body>moved</body></html>'],
  ['a field that is unknown', TEXT.replace('qpd 24', 'burst 24')],
  ['fields in another order', TEXT.replace(/qpd 86400\ncontact (.*)/, 'contact $1\nqpd 86400')],
  ['a number of requests that is none', TEXT.replace('86400', '0x10')],
  ['an end in the middle of a log', TEXT.slice(0, TEXT.indexOf('qpd 24'))],
  ['YAML without logs', 'logs: []\n'],
  ['YAML with a log without a key', 'Logs:\n  - Origin: x\n'],
  ['YAML that multiplies itself', 'a: &a [x]\nLogs: [*a, *a]\n'],
  ['more logs than a mirror can have', `logs/v0\n${line(1001)}`],
])('%s is no list, and nothing of it is used', (_, text) => {
  expect(() => parsePublicList(text, [], 'mirror')).toThrow(
    expect.objectContaining({ code: 'malformed' }) as Error,
  )
})

function line(count: number): string {
  const vkey = vkeyOf('tlog.example/a')
  return `vkey ${vkey}\nqpd 1\ncontact c\n`.repeat(count)
}

test('a list comes from a file, from TLS, or from this machine, and is bounded', async () => {
  const path = join(testFolder(), 'list')
  await writeFile(path, TEXT)
  expect(await loadPublicList(path)).toBe(TEXT)
  await writeFile(path, Buffer.alloc(MAX_LIST_BYTES + 1, '#'))
  await expect(loadPublicList(path)).rejects.toMatchObject({ code: 'malformed' })
  await expect(loadPublicList(join(testFolder(), 'none'))).rejects.toMatchObject({ code: 'io_error' })
  for (const url of ['http://list.example/logs', 'ftp://list.example/logs', 'https://me:pw@list.example/']) {
    await expect(loadPublicList(url)).rejects.toMatchObject({ code: 'usage' })
  }
})
