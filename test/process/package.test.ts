import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROOT, readText } from '../house/repository.ts'

const run = promisify(execFile)

interface Manifest {
  readonly version: string
  readonly exports: Record<string, string | { types: string }>
}
const { version, exports } = JSON.parse(readText('package.json')) as Manifest
const ENTRIES = Object.keys(exports)
  .filter((path) => path !== './package.json')
  .map((path) => `stele${path.slice(1)}`)

/** Packages that are installed with this one, with all that they need: none that only development needs. */
function runtimePackages(): string[] {
  const { packages } = JSON.parse(readText('package-lock.json')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }>
  }
  return Object.entries(packages)
    .filter(([path, { dev, devOptional, optional }]) => path !== '' && !dev && !devOptional && !optional)
    .map(([path]) => path.slice('node_modules/'.length))
    .filter((name) => !name.includes('node_modules/'))
}

/** What the entries for browsers may load: the packages that verify signatures. */
const PORTABLE_PACKAGES = ['@noble/curves', '@noble/ed25519', '@noble/hashes', '@noble/post-quantum']

let root: string
let tarball: string

/** A folder in which the package is installed, as npm would: unpacked, with these packages beside it and its command linked. */
async function installed(name: string, packages: readonly string[]): Promise<string> {
  const folder = join(root, name)
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, 'stele'), { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', join(modules, 'stele'), '--strip-components=1'])
  for (const each of packages) {
    mkdirSync(dirname(join(modules, each)), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules', each), join(modules, each))
  }
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, dependencies: { stele: version } }))
  return folder
}

async function node(folder: string, program: string): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: folder })
  return stdout.trim()
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'stele-test-'))
  // Without scripts: "prepare" would build what the suite has built, and tests beside this one are running it.
  await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', root], { cwd: ROOT })
  tarball = join(
    root,
    readdirSync(root).find((file) => file.endsWith('.tgz'))!,
  )
}, 60_000)

afterAll(() => rmSync(root, { recursive: true, force: true }))

describe('the packed package', () => {
  let folder: string
  beforeAll(async () => {
    folder = await installed('user', runtimePackages())
    await run('npm', ['rebuild', '--ignore-scripts', '--silent', 'stele'], { cwd: folder })
  }, 60_000)

  test('has its command', async () => {
    const { stdout } = await run('npx', ['--no-install', 'stele', '--version'], { cwd: folder })
    expect(stdout.trim()).toBe(version)
  })

  test('can be imported and required, each entry of it', async () => {
    const program = `import { createRequire } from 'node:module'
      const require = createRequire(process.cwd() + '/x.js')
      for (const entry of ${JSON.stringify(ENTRIES)}) {
        const names = (of) => Object.keys(of).sort().join()
        console.log(entry, names(await import(entry)) === names(require(entry)), (await import(entry)).SteleError.name)
      }`
    expect(await node(folder, program)).toBe(ENTRIES.map((entry) => `${entry} true SteleError`).join('\n'))
  })

  test('keeps a log and serves it', async () => {
    const program = `import { createServer, openLog } from 'stele'
      const log = await openLog('data', { create: true })
      await log.append([new Uint8Array([1])])
      await log.close()
      const server = await createServer({ data: 'data', port: 0, open: true })
      console.log((await fetch(server.url + '/logs/main/checkpoint')).status)
      await server.close()`
    expect(await node(folder, program)).toBe('200')
  })

  test.each(['node16', 'bundler'])(
    'has types for every entry with moduleResolution %s',
    { timeout: 60_000 },
    async (resolution) => {
      const uses = ENTRIES.map((entry, i) => `import * as entry${i} from '${entry}'\nentry${i}.SteleError`)
      const wrong = `// @ts-expect-error There is no such name.\nimport { nothing } from 'stele'\nvoid nothing\n`
      writeFileSync(join(folder, 'use.mts'), `${uses.join('\n')}\n${wrong}`)
      const compilerOptions = {
        module: resolution === 'bundler' ? 'esnext' : 'node16',
        moduleResolution: resolution,
        target: 'es2022',
        lib: ['es2023', 'dom'],
        typeRoots: [join(ROOT, 'node_modules/@types')],
        types: ['node'],
        strict: true,
        noEmit: true,
      }
      const config = join(folder, `tsconfig.${resolution}.json`)
      writeFileSync(config, JSON.stringify({ compilerOptions, files: ['use.mts'] }))
      const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
      const said = await run(process.execPath, [tsc, '-p', config], { cwd: folder }).then(
        ({ stdout }) => stdout,
        (error: Error & { stdout?: string }) => error.stdout || error.message,
      )
      expect(said).toBe('')
    },
  )
})

describe('without a server and a database beside it', () => {
  test.each([
    ['stele/client', PORTABLE_PACKAGES],
    ['stele/formats', PORTABLE_PACKAGES],
    ['stele/verify', [...PORTABLE_PACKAGES, 'zod']],
  ])('%s loads', async (entry, packages) => {
    const folder = await installed(entry.replace('/', '-'), packages)
    const program = `console.log(typeof (await import('${entry}')).SteleError)`
    expect(await node(folder, program)).toBe('function')
    await expect(node(folder, `await import('stele')`)).rejects.toThrow(/ERR_MODULE_NOT_FOUND/)
  })
})
