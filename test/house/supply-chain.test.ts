import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { testFolder } from '../support/folder.ts'
import { readText, ROOT } from './repository.ts'

interface Component {
  readonly 'bom-ref': string
  readonly name: string
  readonly version: string
  readonly purl: string
  readonly scope?: string
  readonly licenses: readonly object[]
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[]
}
interface Bom {
  readonly serialNumber: string
  readonly metadata: { readonly component: Component }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

function run(script: string, ...args: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, script), ...args], {
    encoding: 'utf8',
  })
  return { status, out: stdout, err: stderr }
}

const lock = JSON.parse(readText('package-lock.json')) as {
  packages: Record<string, { version: string; dev?: boolean; dependencies?: Record<string, string> }>
}
const bomOf = (...args: string[]): Bom => JSON.parse(run('scripts/sbom.mjs', ...args).out) as Bom

describe('the bill of materials', () => {
  const bom = bomOf()

  test('names every package of the lock file, with licence, hash and purl', () => {
    const named = new Set(bom.components.map(({ name, version }) => `${name}@${version}`))
    for (const [path, { version }] of Object.entries(lock.packages)) {
      if (path !== '') expect(named).toContain(`${path.split('node_modules/').at(-1)}@${version}`)
    }
    for (const { name, version, purl, licenses, hashes } of bom.components) {
      expect(purl).toBe(`pkg:npm/${name.replace('@', '%40')}@${version}`)
      expect(licenses).toHaveLength(1)
      expect(hashes).toEqual([
        { alg: 'SHA-512', content: expect.stringMatching(/^[0-9a-f]{128}$/) as string },
      ])
    }
  })

  test('knows who needs whom, and everything that is named is there once', () => {
    const refs = [bom.metadata.component, ...bom.components].map((each) => each['bom-ref'])
    expect(new Set(refs).size).toBe(refs.length)
    expect(bom.dependencies.map(({ ref }) => ref).toSorted()).toEqual(refs.toSorted())
    for (const { dependsOn } of bom.dependencies) expect(refs).toEqual(expect.arrayContaining([...dependsOn]))
    const own = bom.dependencies.find(({ ref }) => ref === bom.metadata.component['bom-ref'])!
    const asked = Object.keys(lock.packages['']!.dependencies!)
    for (const name of asked) expect(own.dependsOn.some((ref) => ref.startsWith(`${name}@`))).toBe(true)
  })

  test('is the same each time, and shorter without what only development needs', () => {
    expect(bomOf()).toEqual(bom)
    const shipped = bomOf('--production')
    expect(shipped.serialNumber).not.toBe(bom.serialNumber)
    expect(shipped.serialNumber).toMatch(
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    )
    const names = shipped.components.map(({ name }) => name)
    expect(names).toContain('koa')
    expect(names).not.toContain('vitest')
    expect(shipped.components.every(({ scope }) => scope !== 'excluded')).toBe(true)
  })
})

describe('licences', () => {
  test('all of ours are in the list', () => {
    expect(run('scripts/check-licences.mjs')).toMatchObject({ status: 0, err: '' })
  })

  /** A project with packages of these licences, the last one a tool. */
  function project(licences: Record<string, unknown>): string {
    const root = testFolder()
    const packages: Record<string, object> = { '': { name: 'x', version: '1.0.0' } }
    for (const [name, license] of Object.entries(licences)) {
      const path = `node_modules/${name}`
      packages[path] = { version: '1.0.0', ...(name.startsWith('tool') ? { dev: true } : {}) }
      mkdirSync(join(root, path), { recursive: true })
      writeFileSync(join(root, path, 'package.json'), JSON.stringify({ name, license }))
    }
    const file = join(root, 'package-lock.json')
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, JSON.stringify({ lockfileVersion: 3, packages }))
    return root
  }

  test('others are refused by name, and what goes to users more strictly than tools', () => {
    const root = project({
      good: 'MIT',
      either: '(GPL-3.0-only OR MIT)',
      old: { type: 'ISC' },
      'tool-a': 'MPL-2.0',
      weak: 'MPL-2.0',
      both: 'MIT AND GPL-3.0-only',
      none: undefined,
      'tool-b': 'AGPL-3.0-only',
      deep: '((MIT))',
    })
    const { status, err } = run('scripts/check-licences.mjs', root)
    expect(status).toBe(1)
    expect(
      err
        .trim()
        .split('\n')
        .map((line) => line.split('@')[0]),
    ).toEqual(['both', 'deep', 'none', 'tool-b', 'weak'])
  })
})

describe('the audit', () => {
  const judge = (text: string): { status: number | null; out: string; err: string } => {
    const file = `${testFolder()}/audit.json`
    writeFileSync(file, text)
    return run('.ci/audit.mjs', file)
  }

  test('fails for grave advisories only, and says so when nobody could be asked', () => {
    const report = (severity: string): string =>
      JSON.stringify({ auditReportVersion: 2, vulnerabilities: { a: { name: 'a', severity, range: '<2' } } })
    expect(judge(report('critical'))).toMatchObject({ status: 1, err: 'critical: a <2\n' })
    expect(judge(report('moderate'))).toMatchObject({ status: 0 })
    for (const text of ['', '{"error":{"code":"ENOTFOUND"}}', 'offline']) {
      expect(judge(text)).toMatchObject({
        status: 0,
        out: expect.stringContaining('nothing was checked') as string,
      })
    }
  })
})
