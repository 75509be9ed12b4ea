import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { testFolder } from '../support/folder.ts'
import { ROOT } from './repository.ts'

/** Checks a project that has one file above the browser line. */
function check(text: string): { status: number | null; output: string } {
  const root = testFolder()
  mkdirSync(join(root, 'src/bytes'), { recursive: true })
  writeFileSync(join(root, 'src/bytes/a.ts'), text)
  const run = spawnSync(process.execPath, [join(ROOT, 'scripts/check-browser.mjs'), root], {
    encoding: 'utf8',
  })
  return { status: run.status, output: run.stdout + run.stderr }
}

test('a bundle of portable code passes, and its size is told raw and compressed', () => {
  const { status, output } = check(`export const bytes = new TextEncoder().encode(new URL('http://x/').host)`)
  expect(output).toMatch(/1 exports, [\d.]+ kB, [\d.]+ kB gzip/)
  expect(status).toBe(0)
})

test.each([
  ['a module of Node', `export { hash } from 'node:crypto'`, /src\/bytes\/a\.ts:1 .*"node:crypto"/],
  [
    'Buffer',
    `export const f = (): unknown => Buffer.from('')`,
    /src\/bytes\/a\.ts uses Buffer: Buffer\.from/,
  ],
  ['process', `export const f = () => process.env['HOME']`, /src\/bytes\/a\.ts uses process/],
  ['a global that is not of the web', `export const x = missing()`, /missing is not defined/],
  ['code made from strings', `export const x = new Function('return 1')()`, /Code generation from strings/],
])('a bundle fails for %s', (_what, text, message) => {
  const { status, output } = check(text)
  expect(output).toMatch(message)
  expect(status).toBe(1)
})
