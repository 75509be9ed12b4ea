import { expect, test } from 'vitest'
import { VERDICT_CODES } from '../../src/cli/commands/verify.ts'
import { EXIT_CODES, EXIT_DAMAGED, EXIT_WRONG_ENTRY } from '../../src/cli/exit-codes.ts'
import { stele } from './fixture.ts'

test('every error code has an exit code of its own, none of them 0 or 1', () => {
  const codes = [...Object.values(EXIT_CODES), EXIT_WRONG_ENTRY]
  expect(new Set(codes).size).toBe(codes.length)
  expect(codes).not.toContain(0)
  expect(codes).not.toContain(EXIT_DAMAGED)
  expect(Math.max(...codes)).toBeLessThan(128)
})

test('every verdict of verify has an exit code of its own, and its help lists them', async () => {
  const { out } = await stele(['verify', '--help'])
  const codes = Object.values(VERDICT_CODES)
  expect(new Set(codes).size).toBe(codes.length)
  for (const [verdict, code] of Object.entries(VERDICT_CODES)) {
    expect(out).toMatch(new RegExp(`^ *${code} ${verdict}\\b`, 'm'))
  }
})

test('every command has a help with examples, and asking for it is no mistake', async () => {
  const { out } = await stele(['--help'])
  const names = [...out.matchAll(/^ {2}([a-z]+) .*$/gm)].map(([, name]) => name!)
  expect(names).toEqual(expect.arrayContaining(['init', 'serve', 'add', 'fsck', 'bench']))
  const log = ['create', 'list', 'show', 'adopt-head'].map((name) => ['log', name])
  for (const command of [...names.filter((name) => name !== 'log').map((name) => [name]), ...log]) {
    const help = await stele([...command, '--help'])
    expect(help.code, command.join(' ')).toBe(0)
    expect(help.out).toContain('Examples:')
    expect(help.out).toContain('--json')
  }
})

test.each([
  [['get']],
  [['nonsense']],
  [['get', '1', '--bogus']],
  [['get', '1e3']],
  [['get', '007']],
  [['get', '-1']],
  [['get', '3..1']],
  [['get', '1..2..3']],
  [['prove']],
  [['prove', '1', '--hash', 'ab']],
  [['prove', '--hash', 'ABC']],
  [['add', '--batch', '0']],
  [['bench', '--writers', '0']],
  [['bench', '--read-by', 'name']],
  [['verify', 'x']],
  [['serve', '--port', 'http']],
  [['log', 'adopt-head', 'main']],
  [[]],
])('%j is a mistake of the caller: code 2 and a sentence', async (args) => {
  const { code, out, err } = await stele([...args, '--data', '/nonexistent/stele'])
  expect(code).toBe(2)
  expect(out).toBe('')
  expect(err).toMatch(args.length > 0 ? /^stele: / : /Usage/)
  expect(err).not.toMatch(/^\s+at /m)
})
