import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { testFolder } from '../support/folder.ts'
import { ROOT, readText } from './repository.ts'

/** The programs of the page, in its order: later ones read what earlier ones wrote. */
const samples = [
  ...readText('proto-docs/embedding.md').matchAll(/<!-- sample: (\S+) -->\n```js\n([^]*?)```/g),
].map(([, name, text]) => ({ name: name!, text: text! }))

/** What each program prints, as far as it is the same every time. */
const PRINTS: Record<string, RegExp> = {
  'log.mjs': /^entry 0, tree size 1\nlog\.example\.com\/logs\/main\n1\n.*\n\n— .*\n\n\{"id":"1".*\}\n$/,
  'server.mjs': /^http:\/\/127\.0\.0\.1:\d+\n\{[^]*index: 1,[^]*\}\n3\n$/,
  'client.mjs': /^3 c2sp\.org\/tlog-proof@v1\n$/,
  'verify.mjs': /^entry 0 of 1\n$/,
  'formats.mjs': /^1 [0-9a-f]{64}\n$/,
  'storage.mjs':
    /^committed 0 entries, 0 full tiles: size 0\ncommitted 2 entries, 0 full tiles: size 2\nlog\.example\.com\/logs\/own\n2\n/,
}

test('the programs of the page on embedding run against the built package, word for word', () => {
  expect(samples.map(({ name }) => name)).toEqual(Object.keys(PRINTS))
  const folder = testFolder()
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(ROOT, join(folder, 'node_modules/stele'))
  for (const { name, text } of samples) {
    writeFileSync(join(folder, name), text)
    const { stdout, stderr } = spawnSync(process.execPath, [name], { cwd: folder, encoding: 'utf8' })
    expect([name, stderr]).toEqual([name, ''])
    expect(stdout).toMatch(PRINTS[name]!)
  }
}, 60_000)
