import { writeFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { SteleError } from '../../src/errors.ts'
import { loadConfig, optionList, resolveConfig } from '../../src/config/config.ts'
import { nearest } from '../../src/config/config-file.ts'
import { count, secret, section, words } from '../../src/config/option-kinds.ts'
import { OptionTable } from '../../src/config/options.ts'
import { testFolder } from '../support/folder.ts'

function withFile(text: string): string {
  const file = `${testFolder()}/stele.yaml`
  writeFileSync(file, text)
  return file
}

/** The mistakes of a file, without its folder. */
function mistakes(text: string, load: (file: string) => unknown = (file) => loadConfig({ file })): string[] {
  const file = withFile(text)
  try {
    load(file)
    return []
  } catch (error) {
    if (!(error instanceof SteleError) || error.code !== 'usage') throw error
    return error.message.replaceAll(file, 'stele.yaml').split('\n  ').slice(1)
  }
}

describe('a mistake in the file', () => {
  test('is named with its line, what was expected and what came', () => {
    expect(mistakes('# first\n\nport: 7000\nqueue-entries: many\nhost:\nlog-level: loud\n')).toEqual([
      'stele.yaml:5: host: expected a text, got nothing',
      'stele.yaml:4: queue-entries: expected a whole number of 1 to 10000000, got "many"',
      'stele.yaml:6: log-level: expected silent, error, warn, info, debug, got "loud"',
    ])
  })

  test('comes with the name that was probably meant', () => {
    expect(mistakes('queue_entires: 3\nnonsense: 1\n')).toEqual([
      'stele.yaml:1: queue_entires: there is no such option; did you mean queue-entries?',
      'stele.yaml:2: nonsense: there is no such option',
    ])
  })

  test('may be a name that is there twice, or no YAML at all', () => {
    expect(mistakes('port: 1\nhost: a\nport: 2\n')).toEqual([
      'stele.yaml:3: this name is there twice; which one is meant?',
    ])
    expect(mistakes('port: [1\nhost: a')[0]).toMatch(/^stele\.yaml:2: expected YAML: /)
    expect(mistakes('port: !secret 1\n')[0]).toMatch(/^stele\.yaml:1: expected YAML: /)
  })

  test('may be a name that every object has', () => {
    expect(mistakes('constructor: 1\n__proto__: 2\n')).toEqual([
      'stele.yaml:1: constructor: there is no such option',
      'stele.yaml:2: __proto__: there is no such option',
    ])
  })

  test('does not hide what contradicts what elsewhere', () => {
    expect(mistakes('port: x\nhead-interval-seconds: 2000\nstale-head-seconds: 10\n')).toEqual([
      'stele.yaml:1: port: expected a whole number of 0 to 65535, got "x"',
      'stele.yaml:3: stale-head-seconds: expected more than head-interval-seconds; stale-head-seconds is 10, head-interval-seconds is 2000',
    ])
  })

  test('may be a few lines that would become gigabytes', () => {
    const lines = ['a: &a0 [x, x, x, x, x, x, x, x, x, x]']
    for (let i = 1; i < 12; i++)
      lines.push(
        `b${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      )
    expect(mistakes(lines.join('\n'))).toEqual([expect.stringMatching(/^stele\.yaml: expected YAML: /)])
  })
})

test('whatever a file holds, the outcome is a configuration or a list of mistakes', () => {
  const file = withFile('')
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.dictionary(fc.constantFrom(...optionList.map(({ name }) => name)), fc.json()).map((each) =>
          Object.entries(each)
            .map(([name, value]) => `${name}: ${value}\n`)
            .join(''),
        ),
      ),
      (text) => {
        writeFileSync(file, text)
        try {
          expect(Object.isFrozen(loadConfig({ file }))).toBe(true)
        } catch (error) {
          expect(error).toMatchObject({ code: 'usage' })
        }
      },
    ),
  )
})

test('each value knows where it came from', () => {
  const file = withFile('\nport: 1\nhost: localhost\nqueue-entries: 20000\n')
  const env = { STELE_PORT: '2', STELE_HOST: '127.0.0.2' }
  const { origins } = resolveConfig({ file, env, flags: { port: '3' } })
  expect(origins['port']).toEqual({ kind: 'flag', written: '--port' })
  expect(origins['host']).toEqual({ kind: 'variable', written: 'STELE_HOST' })
  expect(origins['queue-entries']).toEqual({ kind: 'file', written: `${file}:4` })
  expect(origins['log-level']).toEqual({ kind: 'default', written: 'default' })
})

describe('a section of the file', () => {
  const key = z.strictObject({ name: z.string().min(1), roles: z.array(z.enum(['reader', 'writer'])) })
  const table = new OptionTable('TEST', {
    limit: count(3).describe('A limit.'),
    token: secret(words('none')).describe('A secret.'),
    keys: section(z.array(key).default([])).describe('Keys.'),
  })

  test('has its default, and is read as a whole', () => {
    expect(table.load({}).keys).toEqual([])
    const { keys } = table.load({ file: withFile('keys:\n  - name: a\n    roles: [reader]\n') })
    expect(keys).toEqual([{ name: 'a', roles: ['reader'] }])
    expect(Object.isFrozen(keys[0]!.roles)).toBe(true)
  })

  test('names the line and the place of a mistake deep inside', () => {
    const text =
      'limit: 1\nkeys:\n  - name: a\n    roles: [reader]\n  - name: b\n    colour: red\n    roles:\n      - reader\n      - king\n'
    const found = mistakes(text, (file) => table.load({ file }))
    expect(found).toHaveLength(2)
    expect(found.join('\n')).toMatch(
      /stele\.yaml:9: keys\[1\]\.roles\[1\]: expected one of "reader"\|"writer"/,
    )
    expect(found.join('\n')).toMatch(/stele\.yaml:6: keys\[1\]\.colour: there is no such field/)
    expect(mistakes('keys: 7\n', (file) => table.load({ file }))).toEqual([
      'stele.yaml:1: keys: expected array, got number',
    ])
    expect(mistakes('keys:\n  - roles: []\n', (file) => table.load({ file }))).toEqual([
      'stele.yaml:2: keys[0].name: expected string, got nothing',
    ])
  })

  test('is neither a flag nor a variable', () => {
    expect(table.list.map(({ name }) => name)).toEqual(['limit', 'token'])
    expect(table.load({ env: { TEST_KEYS: '[]', TEST_LIMIT: '4' } })).toMatchObject({ limit: 4, keys: [] })
  })

  test('a secret is not repeated to whoever got it wrong', () => {
    const [mistake] = mistakes('token: 12345\n', (file) => table.load({ file }))
    expect(mistake).toBe('stele.yaml:1: token: expected a text, got something else')
  })
})

test('a name is guessed only when it is near', () => {
  const names = optionList.map(({ name }) => name)
  expect(nearest('QUEUE_BYTES', names)).toBe('queue-bytes')
  expect(nearest('prot', names)).toBe(undefined)
  expect(nearest('porrt', names)).toBe('port')
  expect(nearest('x', names)).toBe(undefined)
})
