import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { loadConfig, optionList, variableOf } from '../../src/config/config.ts'
import { testFolder } from '../support/folder.ts'

function withFile(text: string): string {
  const file = `${testFolder()}/stele.yaml`
  writeFileSync(file, text)
  return file
}

test('without any source every option has its default, and nothing can change it', () => {
  const config = loadConfig({})
  expect(config).toMatchObject({ host: '127.0.0.1', port: 6962, data: 'data', 'log-level': 'info' })
  expect(Object.isFrozen(config)).toBe(true)
})

test('flags win over the environment, the environment over the file', () => {
  const file = withFile('port: 1\nhost: file\nqueue-entries: 20000\n')
  const env = {
    STELE_PORT: '2',
    STELE_HOST: 'env',
    STELE_INSECURE_HTTP: 'true',
    STELE_UNRELATED: 'x',
    PATH: '/bin',
  }
  expect(loadConfig({ file, env, flags: { port: '3', host: undefined } })).toMatchObject({
    port: 3,
    host: 'env',
    'queue-entries': 20_000,
  })
})

test('all mistakes are reported at once, under the names they were written with', () => {
  const file = withFile('colour: red\nhead-interval-seconds: soon\n')
  const load = (): unknown => loadConfig({ file, env: { STELE_QUEUE_BYTES: '-1' }, flags: { port: '70000' } })
  expect(load).toThrow(
    expect.objectContaining({
      code: 'usage',
      message: expect.stringMatching(
        /(?=[^]*stele\.yaml:1: colour: there is no such option)(?=[^]*stele\.yaml:2: head-interval-seconds: expected a number)(?=[^]*STELE_QUEUE_BYTES)(?=[^]*--port)/,
      ) as string,
    }) as Error,
  )
})

test.each(['', '0x10', '1e3', '-1', ' 7', 'seven'])('the text %j is no number', (text) => {
  expect(() => loadConfig({ flags: { port: text } })).toThrow(/--port: expected a whole number/)
  if (text !== '') expect(() => loadConfig({ env: { STELE_PORT: text } })).toThrow(/STELE_PORT/)
})

test('a variable that is set to nothing counts as not set', () => {
  expect(loadConfig({ env: { STELE_PORT: '', STELE_HOST: '' } })).toMatchObject({
    port: 6962,
    host: '127.0.0.1',
  })
})

test('options that contradict each other are refused', () => {
  expect(() => loadConfig({ flags: { 'batch-entries': '100', 'queue-entries': '10' } })).toThrow(
    /batch-entries/,
  )
  expect(() => loadConfig({ flags: { 'head-interval-seconds': '2000' } })).toThrow(/stale-head-seconds/)
})

test.each([
  ['127.0.0.1', {}, true],
  ['localhost', {}, true],
  ['[::1]', {}, true],
  ['0.0.0.0', {}, false],
  ['::', {}, false],
  ['log.example', {}, false],
  ['0.0.0.0', { 'insecure-http': true }, true],
  ['0.0.0.0', { 'tls-cert': 'a.pem', 'tls-key': 'a.key' }, true],
])('HTTP on %s with %j: accepted is %s', (host, flags, accepted) => {
  const load = (): unknown => loadConfig({ flags: { host, ...flags } })
  if (accepted) expect(load).not.toThrow()
  else expect(load).toThrow(/--host: expected .*tls-cert.*insecure-http where TLS ends at a proxy/)
})

test('an IPv6 address may stand in brackets', () => {
  expect(loadConfig({ flags: { host: '[::1]' } }).host).toBe('::1')
})

test.each(['log.example.com', 'ftp://log.example.com', 'https://me:secret@log.example.com', 'https://a/?b'])(
  '%s is no public URL',
  (url) => expect(() => loadConfig({ flags: { 'public-url': url } })).toThrow(/--public-url: expected http/),
)

test.each(['- a\n- b\n', '"text"', '{'])('a file that is no list of options is refused: %j', (text) => {
  expect(() => loadConfig({ file: withFile(text) })).toThrow(
    expect.objectContaining({ code: 'usage' }) as Error,
  )
})

test('a file that is not there is refused by name', () => {
  expect(() => loadConfig({ file: '/nowhere/stele.yaml' })).toThrow(/nowhere/)
})

test('the documentation names every option with its default and meaning', () => {
  const page = readFileSync('proto-docs/configuration.md', 'utf8')
  for (const { name, fallback, description } of optionList) {
    expect(page).toContain(`| \`${name}\` | ${fallback} | ${description} |`)
  }
  expect(variableOf('head-interval-seconds')).toBe('STELE_HEAD_INTERVAL_SECONDS')
})
