import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
// @ts-expect-error a script without types
import { ROWS as MAP } from '../../scripts/check-imports.mjs'
import { testFolder } from '../support/folder.ts'
import { ROOT } from './repository.ts'

type Files = Record<string, string>
/** Rooms that do not know each other stand in one row. */
const ROWS = MAP as readonly (readonly string[])[]

/** Writes a small project and checks it; gives the exit status and the reported lines, sorted. */
function check(files: Files): { status: number | null; faults: string[] } {
  const root = testFolder()
  for (const [file, text] of Object.entries({ '../package.json': '{"name":"stele"}', ...files })) {
    const path = join(root, 'src', file)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
  const run = spawnSync(process.execPath, [join(ROOT, 'scripts/check-imports.mjs'), root], {
    encoding: 'utf8',
  })
  const faults = run.stderr.split('\n').filter((line) => line !== '')
  return { status: run.status, faults: faults.toSorted() }
}

describe('a map that is kept', () => {
  test('passes: rooms above, the same room, packages, doors, Node below the line', () => {
    const { status, faults } = check({
      'errors.ts': '',
      'bytes/hex.ts': `import { SteleError } from '../errors.ts'`,
      'merkle/hash.ts': `import { sha256 } from '#sha256'\nimport { sha512 } from '@noble/hashes/sha2.js'`,
      'merkle/sha256-node.ts': `import { hash } from 'node:crypto'\nexport const b: Buffer = Buffer.alloc(1)`,
      'note/key.ts': `import * as e from '#ed25519'\nimport * as p from '#p256'`,
      'tile/path.ts': `export * from './bundle.ts'`,
      'storage/level.ts': `import fs from 'node:fs'\nimport { toHex } from '../bytes/hex.ts'`,
      'server/start.ts': `export type { Log } from '../log/log.ts'`,
      'cli/commands/poc.ts': `import { runSuite } from '../../poc/suite.ts'`,
      'index.ts': `export { startServer } from './server/start.ts'`,
    })
    expect(faults).toEqual([])
    expect(status).toBe(0)
  })

  test('is not disturbed by imports in comments, strings and templates', () => {
    const text = [
      `// import { x } from '../server/start.ts'`,
      `/* export * from '../server/start.ts' */`,
      `const a = "import x from '../server/start.ts'"`,
      'const b = `import("../server/start.ts") ${a} node:fs Buffer`',
      `const c = /from '..\\/server'/`,
      `const process_ = { Buffer: 1, process: 2 }.Buffer`,
      `interface Has { process(entry: Uint8Array): void }`,
    ]
    expect(check({ 'bytes/a.ts': text.join('\n') }).faults).toEqual([])
  })
})

describe('an arrow that points the wrong way is reported with its place and the rule', () => {
  test('in each form in which one file can name another', () => {
    const forms: [text: string, line: number][] = [
      [`import { Log } from '../log/log.ts'`, 1],
      [`import type { Log } from '../log/log.ts'`, 1],
      [`import { type Log } from '../log/log.ts'`, 1],
      [`import {\n  a,\n  // ; from './x.ts'\n  type B,\n} from '../log/log.ts'`, 5],
      [`import '../log/log.ts'`, 1],
      [`\nexport { Log } from '../log/log.ts'`, 2],
      [`export * as log from "../log/log.ts"`, 1],
      [`export type { Log } from '../log/log.ts'`, 1],
      [`\n\nconst x = await import('../log/log.ts')`, 3],
      [`export type L = import('../log/log.ts').Log`, 1],
      [`const a = 1; import b from '../log/log.ts'`, 1],
    ]
    const name = (i: number): string => `tile/form-${10 + i}.ts`
    const files = Object.fromEntries(forms.map(([text], i) => [name(i), text]))
    const rule = 'tile may import only from rows above it, and log is below'
    expect(check(files)).toEqual({
      status: 1,
      faults: forms.map(([, line], i) => `src/${name(i)}:${line}  ${rule}`),
    })
  })

  test('rooms of one row do not know each other', () => {
    const { faults } = check({
      'note/a.ts': `import '../tile/path.ts'`,
      'witness/a.ts': `import '../audit-trail/meta-log.ts'`,
      'monitor/a.ts': `import '../log/log.ts'`,
    })
    expect(faults).toEqual([
      'src/monitor/a.ts:1  monitor and log do not know each other',
      'src/note/a.ts:1  note and tile do not know each other',
      'src/witness/a.ts:1  witness and audit-trail do not know each other',
    ])
  })

  test('no file sees the package entry, and one command sees the attacks', () => {
    const { faults } = check({
      'cli/commands/serve.ts': `import '../../poc/suite.ts'`,
      'cli/a.ts': `import '../index.ts'`,
      'http/a.ts': `import 'stele/client'`,
    })
    expect(faults).toEqual([
      'src/cli/a.ts:1  cli and index do not know each other',
      'src/cli/commands/serve.ts:1  cli may import only from rows above it, and poc is below',
      'src/http/a.ts:1  "stele/client" is this package: name the file by its relative path',
    ])
  })

  test('what is not in the map is a fault, as importer and as imported', () => {
    const { faults } = check({
      'utils/a.ts': '',
      'log/a.ts': `import '../helpers/b.ts'`,
      'cli/a.ts': `import '../../test/x.ts'`,
      'cli/b.ts': 'await import(`./${name}.ts`)',
    })
    expect(faults).toEqual([
      'src/cli/a.ts:1  "../../test/x.ts" leaves src/',
      'src/cli/b.ts:1  the name of an imported module must be a plain string',
      'src/log/a.ts:1  "helpers" is not in the module map',
      'src/utils/a.ts:1  "utils" is not in the module map',
    ])
  })
})

describe('above the browser line', () => {
  test('what only Node has is reported: its modules, its globals, its twin files', () => {
    const { faults } = check({
      'client/a.ts': `import { readFile } from 'node:fs/promises'`,
      'client/b.ts': `import { createHash } from 'crypto'`,
      'note/a.ts': `\nexport const f = (b: Buffer): string => String(b)`,
      'tile/a.ts': `export const f = () => globalThis.Buffer.from('')`,
      'policy/a.ts': `export const f = () => process.env`,
      'merkle/a.ts': `import { sha256 } from './sha256-node.ts'`,
    })
    expect(faults).toEqual([
      'src/client/a.ts:1  "node:fs/promises" above the browser line, outside a *-node.ts file',
      'src/client/b.ts:1  "crypto" above the browser line, outside a *-node.ts file',
      'src/merkle/a.ts:1  "./sha256-node.ts" is for Node only: use its subpath import',
      'src/note/a.ts:2  Buffer above the browser line, outside a *-node.ts file',
      'src/policy/a.ts:1  process above the browser line, outside a *-node.ts file',
      'src/tile/a.ts:1  Buffer above the browser line, outside a *-node.ts file',
    ])
  })

  test('each kind of cryptography enters through its one door', () => {
    const { faults } = check({
      'client/a.ts': `import '#ed25519'`,
      'merkle/range.ts': `import '#sha256'`,
      'note/a.ts': `import '#sha512'`,
      'server/keys.ts': `import '#p256'`,
    })
    expect(faults).toEqual([
      'src/client/a.ts:1  "#ed25519": only note/ may import it',
      'src/merkle/range.ts:1  "#sha256": only merkle/hash.ts may import it',
      'src/note/a.ts:1  "#sha512" is not in the list of subpath imports in scripts/check-imports.mjs',
      'src/server/keys.ts:1  "#p256": only note/ may import it',
    ])
  })
})

test('a file that cannot be parsed is a fault, not a file without imports', () => {
  const { status, faults } = check({ 'bytes/a.ts': `import { from '../server/start.ts'` })
  expect(status).toBe(1)
  expect(faults[0]).toMatch(/^src\/bytes\/a\.ts:1 {2}cannot be parsed/)
})

test('the map of this repository is kept', () => {
  const run = spawnSync(process.execPath, [join(ROOT, 'scripts/check-imports.mjs')], { encoding: 'utf8' })
  expect(run.stderr).toBe('')
  expect(run.status).toBe(0)
})

describe('the map', () => {
  const page = readFileSync(join(ROOT, 'proto-docs/architecture.md'), 'utf8')
  const table = page.slice(page.indexOf('## Folders'), page.indexOf('## Who owns what'))

  test('is the table of the page about the architecture', () => {
    const rows = [...table.matchAll(/^\| (`[^|]+) \|/gm)].map(([, cell]) =>
      [...cell!.matchAll(/`([a-z-]+)(?:\/|\.ts)`/g)].map(([, room]) => room),
    )
    expect(rows).toEqual(ROWS)
  })

  test('has each folder of the sources, and no other', () => {
    const rooms = readdirSync(join(ROOT, 'src')).map((name) => name.replace(/\.ts$/, ''))
    expect(rooms.toSorted()).toEqual(ROWS.flat().toSorted())
  })
})
