import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT, markdownFiles, packageScripts, readText } from './repository.ts'

const scripts = packageScripts()

/** The scripts that a text calls with `npm run x`. */
function called(text: string): string[] {
  return [...text.matchAll(/\bnpm run ([a-z][a-z0-9:-]*)/g)].map((match) => match[1]!)
}

test.each([...markdownFiles(), '.ci/run', 'package.json'])('%s calls only scripts that exist', (file) => {
  expect(called(readText(file)).filter((name) => !(name in scripts))).toEqual([])
})

test('npm run check covers formatting, lint, types, import arrows and the browser line', () => {
  expect(called(scripts['check']!)).toEqual([
    'format:check',
    'lint',
    'types',
    'check:imports',
    'check:browser',
  ])
})

test('every file that a script runs is there', () => {
  const files = Object.values(scripts).flatMap(
    (line) => line.match(/\b(?:scripts|src)\/\S+\.m?[jt]s\b/g) ?? [],
  )
  expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([])
})

test('the lock file names no download addresses', () => {
  expect(readText('package-lock.json')).not.toContain('"resolved"')
})
