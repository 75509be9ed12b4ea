import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readText } from '../house/repository.ts'
import { testFolder } from '../support/folder.ts'
import { stele, type Ran, type World } from './fixture.ts'

const SECRET = /st_[a-z]+_[a-z2-7]{16}_[a-z2-7]{52}/
const PROVISIONING = /^st_provisioning_\w+\n$/

/** What a key file holds, once nobody but its owner can read it. */
function keyIn(path: string): string {
  expect((statSync(path).mode & 0o777).toString(8)).toBe('600')
  return readFileSync(path, 'utf8')
}

const said = ({ out, err }: Ran): string => out + err

/** Runs start until it has said what to do next. */
async function start(data: string, world: World = {}): Promise<Ran> {
  let stop = (): void => {}
  return stele(['start', '--data', data, '--port', '0', '--log-level', 'silent'], {
    ...world,
    onStop: (listen) => (stop = listen),
    onOut: () => stop(),
  })
}

test.each([['--quiet'], ['--json'], ['--no-color']])(
  'init %s says no secret to a pipe, and leaves the key in a file of its owner',
  async (flag) => {
    const data = join(testFolder(), 'data')
    const made = await stele(['init', '--data', data, flag])
    expect([made.code, said(made)]).toEqual([0, expect.not.stringMatching(SECRET)])
    expect(keyIn(join(data, 'provisioning.key'))).toMatch(PROVISIONING)
  },
)

test('init shows the key to a person, and writes it nowhere', async () => {
  const data = join(testFolder(), 'data')
  const { out, err } = await stele(['init', '--data', data], { terminal: true })
  expect(out).not.toMatch(SECRET)
  expect(err).toMatch(SECRET)
  expect(readdirSync(data)).not.toContain('provisioning.key')
})

test('init prints the key where that is asked for', async () => {
  const folder = testFolder()
  const asked = ['--provisioning-key-file', '-']
  const plain = await stele(['init', '--data', join(folder, 'a'), ...asked])
  expect(plain.out.split('\n')[1]).toMatch(SECRET)
  const json = await stele(['init', '--data', join(folder, 'b'), ...asked, '--json'])
  expect(JSON.parse(json.out)).toMatchObject({ provisioningKey: expect.stringMatching(SECRET) })
  expect([existsSync(join(folder, 'a/provisioning.key')), plain.err]).toEqual([
    false,
    expect.not.stringMatching(SECRET),
  ])
})

test('init puts the key into a new file, and makes nothing where there is one', async () => {
  const folder = testFolder()
  const [data, path] = [join(folder, 'data'), join(folder, 'provisioning.key')]
  const init = ['init', '--data', data, '--provisioning-key-file', path]
  expect((await stele([...init, '--name', '../x'])).code).toBe(2)
  expect(readdirSync(folder)).toEqual([])
  const made = await stele(init, { terminal: true })
  expect([made.code, said(made)]).toEqual([0, expect.not.stringMatching(SECRET)])
  const key = keyIn(path)
  expect(key).toMatch(PROVISIONING)

  const other = join(folder, 'other')
  expect((await stele(['init', '--data', other, '--provisioning-key-file', path])).code).toBe(3)
  expect([existsSync(other), keyIn(path)]).toEqual([false, key])
})

test.each([[false], [true]])('start says no secret, on a terminal or not (%s)', async (terminal) => {
  const data = join(testFolder(), 'data')
  const started = await start(data, { terminal })
  expect([started.code, said(started)]).toEqual([0, expect.not.stringMatching(SECRET)])
  expect(started.out).toContain(join(data, 'writer.key'))
  expect(keyIn(join(data, 'provisioning.key'))).toMatch(PROVISIONING)
  expect(keyIn(join(data, 'writer.key'))).toMatch(/^st_writer_\w+\n$/)
  expect((await start(data, { terminal })).out).toContain(join(data, 'writer.key'))
})

test('key create and rotate, access recover: into a new file of mode 600, and then to no stream', async () => {
  const folder = testFolder()
  const data = join(folder, 'data')
  await stele(['init', '--data', data])
  const create = ['key', 'create', '--role', 'writer', '--log', 'main', '--data', data]
  const into = async (args: readonly string[], file: string): Promise<string> => {
    const ran = await stele([...args, '-o', join(folder, file)])
    expect([ran.code, said(ran)]).toEqual([0, expect.not.stringMatching(SECRET)])
    return keyIn(join(folder, file))
  }
  const writer = await into(create, 'writer.key')
  expect(await into(['key', 'rotate', writer.split('_')[2]!, '--data', data], 'next.key')).toMatch(
    /^st_writer_/,
  )
  expect(await into(['access', 'recover', '--data', data], 'recovered.key')).toMatch(PROVISIONING)
  const before = (await stele(['key', 'list', '--json', '--data', data])).out
  writeFileSync(join(folder, 'taken'), 'mine')
  expect((await stele([...create, '-o', join(folder, 'taken')])).code).toBe(3)
  expect(readFileSync(join(folder, 'taken'), 'utf8')).toBe('mine')
  expect((await stele(['key', 'list', '--json', '--data', data])).out).toBe(before)
})

test('no page shows a key on a command line, which everybody on the machine could read', () => {
  const pages = [
    'README.md',
    'scripts/deploy/README.md',
    ...readdirSync('proto-docs')
      .filter((name) => name.endsWith('.md'))
      .map((page) => `proto-docs/${page}`),
  ]
  const fences = pages.flatMap((page) => [...readText(page).matchAll(/```(?:sh|console)\n([^]*?)```/g)])
  const commands = fences.flatMap(([, fence]) => fence!.replaceAll('\\\n', ' ').split('\n'))
  const shown = commands.filter((line) => /\b(curl|wget)\b.*(Authorization|Bearer|\$\{?\w*KEY)/.test(line))
  expect(commands.length).toBeGreaterThan(50)
  expect(shown).toEqual([])
})
