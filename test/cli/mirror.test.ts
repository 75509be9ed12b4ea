import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { idOf } from '../../src/instance/change-keys.ts'
import { formatVerifierKey, generateSigningKey } from '../../src/note/key.ts'
import { loadConfig } from '../../src/config/config.ts'
import { readLogInfo } from '../../src/instance/data-folder.ts'
import { createServer } from '../../src/server/start.ts'
import { originHash } from '../../src/witness/logs.ts'
import { dataFolder, lines, ORIGIN, serve, stele } from './fixture.ts'
import { testFolder } from '../support/folder.ts'

const NAME = 'mirror.example/m1'

/** A mirror folder in the running test's own folder. */
async function mirrorFolder(): Promise<{ data: string; env: Record<string, string>; key: string }> {
  const data = join(testFolder(), 'mirror')
  const ran = await stele(['mirror', 'init', '--name', NAME, '--only', 'ed25519', '--data', data, '--json'])
  expect(ran.code).toBe(0)
  const { verifierKeys } = JSON.parse(ran.out) as { verifierKeys: string[] }
  return { data, env: { STELE_MIRROR_DATA: data }, key: verifierKeys[0]! }
}

/** Runs `mirror serve` until the work is done. */
async function whileServing(
  env: Record<string, string>,
  work: (url: string) => Promise<void>,
): Promise<void> {
  let stop = (): void => {}
  let heard = (_url: string): void => {}
  const url = new Promise<string>((resolve) => (heard = resolve))
  const serving = stele(
    ['mirror', 'serve', '--port', '0', '--poll-seconds', '0.05', '--log-level', 'silent', '--json'],
    {
      env,
      onStop: (told) => (stop = told),
      onOut: (text) => heard((JSON.parse(text) as { url: string }).url),
    },
  )
  try {
    await work(await url)
  } finally {
    stop()
    expect((await serving).code).toBe(0)
  }
}

test('a log is mirrored from its URL; the copy passes fsck and audit, and meets a policy that asks for the mirror', async () => {
  const log = await serve(await dataFolder())
  expect((await stele(['add', '--lines', '-', ...log.flags], { stdin: lines(700) })).code).toBe(0)
  const { env, key, data } = await mirrorFolder()
  const added = await stele(['mirror', 'add-log', log.key, '--url', log.url, '--json'], { env })
  expect(added.code).toBe(0)
  const { originHash: hash, url: followed } = JSON.parse(added.out) as { originHash: string; url: string }
  expect(followed).toBe(`${log.url}/`)
  await whileServing(env, async (url) => {
    const copy = `${url}/${hash}`
    let answer = await fetch(`${copy}/checkpoint`)
    while (answer.status === 404) answer = await fetch(`${copy}/checkpoint`)
    for (const command of ['fsck', 'audit']) {
      expect([command, (await stele([command, copy, '--key', log.key])).code]).toEqual([command, 0])
    }
    const proof = await stele(['get', '12', '--url', copy, '--key', log.key])
    expect(proof.out).toBe('line 12')
    const [policy, checkpoint] = [join(data, 'policy'), join(data, 'checkpoint')]
    writeFileSync(policy, `log ${log.key}\nwitness m1 ${key}\nquorum m1\n`)
    writeFileSync(checkpoint, await answer.text())
    const checked = await stele(['policy', 'check', policy, checkpoint])
    expect([checked.code, checked.out]).toEqual([0, `quorum met: ${ORIGIN} at size 700, cosigned by m1\n`])
    // A second one on the same folder names the lock, and a list says what the first one serves.
    expect((await stele(['mirror', 'serve', '--port', '0'], { env })).code).toBe(EXIT_CODES.locked)
    const list = await stele(['mirror', 'list'], { env })
    expect([list.out, list.err]).toEqual([expect.stringContaining(`${ORIGIN}\tsize 700\t20`), ''])
    // Where nothing says where it listens, nothing is made up.
    renameSync(join(data, 'serving'), join(data, 'elsewhere'))
    expect((await stele(['mirror', 'list'], { env })).out).toContain('a mirror is running')
  })
  const listed = JSON.parse((await stele(['mirror', 'list', '--json'], { env })).out) as object[]
  expect(listed).toMatchObject([
    { origin: ORIGIN, url: `${log.url}/`, treeSize: 700, pendingSize: 700, nextEntry: 700, evidenceFiles: 0 },
  ])
})

test('a mirror is made once, and a log is added once', async () => {
  const { data, env, key } = await mirrorFolder()
  const again = await stele(['mirror', 'init', '--name', NAME, '--data', data])
  expect(again.code).toBe(EXIT_CODES.already_exists)
  const log = await dataFolder()
  expect((await stele(['mirror', 'add-log', log.key], { env })).code).toBe(0)
  expect((await stele(['mirror', 'add-log', log.key], { env })).code).toBe(EXIT_CODES.already_exists)
  const dropped = await stele(['mirror', 'drop-log', ORIGIN], { env })
  expect([dropped.code, dropped.out]).toEqual([0, `${ORIGIN}\n`])
  expect((await stele(['mirror', 'drop-log', ORIGIN], { env })).code).toBe(EXIT_CODES.not_found)
  expect((await stele(['mirror', 'list', '--json'], { env })).out).toBe('[]\n')
  expect((await stele(['mirror', 'add-log', log.key], { env })).code).toBe(0)
  // A URL can be added later, and nothing is lost by it.
  const url = ['--url', 'https://log.example/logs/main']
  expect((await stele(['mirror', 'add-log', log.key, ...url], { env })).code).toBe(0)
  expect(readdirSync(join(data, 'logs'))).toHaveLength(1)
  for (const wrong of [['nonsense'], [key], [log.key, '--url', 'ftp://log.example']]) {
    expect((await stele(['mirror', 'add-log', ...wrong], { env })).code).toBe(EXIT_CODES.usage)
  }
  const nowhere = { STELE_MIRROR_DATA: join(data, 'nowhere') }
  expect((await stele(['mirror', 'serve'], { env: nowhere })).code).toBe(EXIT_CODES.not_initialised)
  expect((await stele(['mirror', 'serve', '--max-uploads', '1'], { env })).code).toBe(EXIT_CODES.usage)
})

test('a log that rotates its key is followed on by the statements that it serves, which are kept, and by no others', async () => {
  const folder = await dataFolder()
  let log = await serve(folder)
  const add = async (text: string, key = folder.key): Promise<void> => {
    const ran = await stele(['add', '--lines', '-', '--url', log.url, '--key', key], { stdin: text })
    expect(ran.code).toBe(0)
  }
  await add(lines(10))
  const { port } = new URL(log.url)
  const { env, data } = await mirrorFolder()
  const told = await stele(['mirror', 'add-log', folder.key, '--url', log.url, '--json'], { env })
  const { originHash: hash } = JSON.parse(told.out) as { originHash: string }
  const served = async (url: string, wanted: RegExp): Promise<string> => {
    const at = `${url}/${wanted.source.startsWith('stele') ? 'metrics' : `${hash}/checkpoint`}`
    let text = ''
    await expect
      .poll(async () => (text = await (await fetch(at)).text()), { timeout: 10_000 })
      .toMatch(wanted)
    return text
  }
  await whileServing(env, async (url) => void (await served(url, /\n10\n/)))

  // Both keys sign from now on; then the new one alone.
  await log.stop()
  const local = ['main', '--data', folder.data]
  expect((await stele(['log', 'rotate-key', ...local, '--overlap-days', '0'])).code).toBe(0)
  log = await serve(folder, Number(port))
  await add('eleven\n')
  await whileServing(env, async (url) => void (await served(url, /\n11\n/)))
  await log.stop()
  const retire = ['log', 'retire-key', ...local, idOf(folder.key), '--before-overlap-ends']
  expect((await stele(retire)).code).toBe(0)
  log = await serve(folder, Number(port))
  const next = (await readLogInfo(folder.data, 'main')).verifierKey
  await add('twelve\n', next)
  const kept = join(data, 'logs', hash, 'rotations')
  expect(existsSync(kept)).toBe(false)
  await whileServing(env, async (url) => void (await served(url, /\n12\n/)))
  expect(readFileSync(kept, 'utf8')).toMatch(/^stele key rotation v1\n/)
  const listed = JSON.parse((await stele(['mirror', 'list', '--json'], { env })).out) as object[]
  expect(listed).toMatchObject([{ verifierKeys: [folder.key, next], treeSize: 12 }])
  await add('thirteen\n', next)
  await whileServing(env, async (url) => void (await served(url, /\n13\n/)))

  // What was kept is followed anew at each start, from a listed key: nothing is believed for standing there.
  const statements = readFileSync(kept, 'utf8')
  writeFileSync(kept, statements.replace('size 10', 'size 11'))
  const refused = await stele(['mirror', 'serve', '--port', '0'], { env })
  expect([refused.code, refused.err]).toEqual([EXIT_CODES.corrupt, expect.stringContaining(kept)])
  writeFileSync(kept, '')
  const other = generateSigningKey(ORIGIN)
  writeFileSync(
    join(data, 'logs.json'),
    JSON.stringify({ logs: [{ origin: ORIGIN, keys: [formatVerifierKey(other.verifier)], url: log.url }] }),
  )
  expect((await stele(['mirror', 'serve', '--port', '0'], { env })).code).toBe(EXIT_CODES.untrusted_signer)
  const garbage = join(data, 'garbage')
  writeFileSync(garbage, 'garbage')
  const wrong = await stele(['mirror', 'add-log', folder.key, '--rotations', garbage], { env })
  expect(wrong.code).toBe(EXIT_CODES.malformed)
})

test('a key that nobody has announced is not followed, and said so', async () => {
  const folder = await dataFolder()
  const log = await serve(folder)
  expect((await stele(['add', '--lines', '-', ...log.flags], { stdin: lines(3) })).code).toBe(0)
  const { env } = await mirrorFolder()
  const other = formatVerifierKey(generateSigningKey(ORIGIN).verifier)
  await stele(['mirror', 'add-log', other, '--url', log.url], { env })
  await whileServing(env, async (url) => {
    await expect
      .poll(async () => (await fetch(`${url}/metrics`)).text(), { timeout: 10_000 })
      .toMatch(/stele_mirror_follow_failures_total\{[^}]*untrusted_signer/)
  })
})

test('a private log is mirrored with a key that stays in its file, and with no other', async () => {
  const data = join(testFolder(), 'data')
  const { provisioningKey } = JSON.parse(
    (await stele(['init', '--data', data, '--provisioning-key-file', '-', '--json'])).out,
  ) as {
    provisioningKey: string
  }
  const made = ['log', 'create', 'closed', '--private', '--heads', 'closed', '--data', data]
  expect((await stele([...made, '--origin', ORIGIN])).code).toBe(0)
  const server = await createServer(
    loadConfig({ flags: { data, port: 0, 'log-level': 'silent' } }),
    pino({ level: 'silent' }),
  )
  onTestFinished(() => server.close())
  const key = async (role: string): Promise<string> => {
    const create = ['key', 'create', '--role', role, '--log', 'closed', '--server', server.url]
    return (await stele(create, { env: { STELE_API_KEY: provisioningKey } })).out.trim()
  }
  const url = `${server.url}/logs/closed`
  const headers = { authorization: `Bearer ${await key('writer')}` }
  expect((await fetch(`${url}/add`, { method: 'POST', headers, body: 'one' })).status).toBe(200)
  const shown = await stele(['log', 'show', 'closed', '--json', '--data', data])
  const { verifierKey } = JSON.parse(shown.out) as { verifierKey: string }

  const mirror = await mirrorFolder()
  const reader = await key('reader')
  const file = join(mirror.data, '..', 'reader.key')
  writeFileSync(file, reader, { mode: 0o644 })
  const args = ['mirror', 'add-log', verifierKey, '--url', url, '--api-key-file', file]
  expect((await stele(args, { env: mirror.env })).code).toBe(EXIT_CODES.key_permissions)
  chmodSync(file, 0o600)
  expect((await stele(args, { env: mirror.env })).code).toBe(0)
  expect(readFileSync(join(mirror.data, 'logs.json'), 'utf8')).toContain(file)
  expect(readFileSync(join(mirror.data, 'logs.json'), 'utf8')).not.toContain(reader)
  await whileServing(mirror.env, async (at) => {
    const copied = async (): Promise<number> => (await fetch(`${at}/${originHash(ORIGIN)}/checkpoint`)).status
    await expect.poll(copied, { timeout: 10_000 }).toBe(200)
  })

  await stele(['key', 'revoke', reader.split('_')[2]!, '--server', server.url], {
    env: { STELE_API_KEY: provisioningKey },
  })
  await whileServing(mirror.env, async (at) => {
    await expect
      .poll(async () => (await fetch(`${at}/metrics`)).text(), { timeout: 10_000 })
      .toMatch(/stele_mirror_follow_failures_total\{[^}]*unauthenticated/)
  })
  // Another address is another server: it is not shown the key of this one.
  const moved = await stele(
    ['mirror', 'add-log', verifierKey, '--url', 'https://log.example/elsewhere'],
    mirror,
  )
  expect(moved.code).toBe(0)
  expect(readFileSync(join(mirror.data, 'logs.json'), 'utf8')).not.toContain(file)
})
