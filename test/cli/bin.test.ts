import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { testFolder } from '../support/folder.ts'

const BIN = fileURLToPath(new URL('../../dist/cli/bin.cjs', import.meta.url))

/** A folder with so many logs, as far as names go. */
function folderOf(logs: number): string {
  const folder = `${testFolder()}/data`
  for (let i = 0; i < logs; i++) mkdirSync(`${folder}/logs/log-${i}`, { recursive: true })
  mkdirSync(`${folder}/logs/.building-x`, { recursive: true })
  return folder
}

/** The size of the pool with which a command runs; it ends at once, for no option is called so. */
function poolOf(args: readonly string[], env: Record<string, string> = {}): string {
  const said = `${testFolder()}/size`
  const preload = `${testFolder()}/preload.cjs`
  const script = `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(said)}, String(process.env.UV_THREADPOOL_SIZE)))`
  writeFileSync(preload, script)
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(UV|STELE)_/.test(name)))
  const { stdout } = spawnSync(process.execPath, ['--require', preload, BIN, ...args, '--no-such-option'], {
    env: { ...own, ...env },
    cwd: testFolder(),
  })
  expect(String(stdout)).toBe('')
  return readFileSync(said, 'utf8')
}

/** Where the folder with five logs goes. */
const FIVE = '<five>'
const FILE = '<file>'

test.for<[string, string[], Record<string, string>, string]>([
  ['has nine threads for each log and four more', ['serve', '--data', FIVE], {}, '49'],
  ['finds the folder in one word', ['start', `--data=${FIVE}`], {}, '49'],
  ['finds it in a variable', ['serve'], { STELE_DATA: FIVE }, '49'],
  ['finds it in a file', ['serve', '--config', FILE], {}, '49'],
  ['lets the flag go over the file', ['serve', '--config', FILE, '--data', 'nowhere'], {}, '22'],
  ['is made for a log and the meta log where there is nothing yet', ['start'], {}, '22'],
  ['is what the operator says', ['serve', '--data', FIVE], { UV_THREADPOOL_SIZE: '7' }, '7'],
  ['is left alone for other commands', ['fsck', '--data', FIVE], {}, 'undefined'],
])('the pool of a server that is started by the launcher %s', ([, args, env, size]) => {
  const five = folderOf(5)
  const file = `${testFolder()}/stele.yaml`
  writeFileSync(file, `# where\nport: 7000\ndata: "${five}" # here\n`)
  const put = (text: string): string => text.replace(FIVE, five).replace(FILE, file)
  const variables = Object.entries(env).map(([name, value]) => [name, put(value)])
  expect(poolOf(args.map(put), Object.fromEntries(variables) as Record<string, string>)).toBe(size)
})

test('the pool of a server ends at what libuv takes', () => {
  expect(poolOf(['serve', '--data', folderOf(200)])).toBe('1024')
})
