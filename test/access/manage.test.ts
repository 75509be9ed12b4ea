import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openCheckpoint } from '../../src/note/checkpoint.ts'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, parseVerifierKey } from '../../src/note/key.ts'
import { logFiles } from '../../src/instance/data-folder.ts'
import { Instance } from './instance.ts'

const NEW = { name: 'billing', origin: 'log.example/billing' }

test('a log that is made over HTTP is served at once, and the next start finds nothing unrecorded', async () => {
  const at = await Instance.started()
  const writer = await at.key('writer', ['billing'])
  expect((await at.ask('POST', '/logs/billing/add', writer, 'early')).status).toBe(404)
  const made = await at.manage('/v1/logs', NEW)
  expect(made).toMatchObject({
    status: 201,
    body: { ...NEW, state: 'serving', treeSize: 0, reads: 'private', heads: 'open' },
  })
  expect((await at.ask('POST', '/logs/billing/add', writer, 'hello')).status).toBe(200)
  const list = await at.ask('GET', '/v1/logs')
  const names = (list.body['logs'] as { name: string }[]).map(({ name }) => name)
  expect(names).toEqual(['billing', 'main', 'meta'])
  expect((await at.ask('GET', '/v1/logs/billing')).body).toMatchObject({ treeSize: 1 })
  await at.stop()
  const admin = await at.lines('admin')
  expect(admin.at(-1)).toMatchObject({
    act: 'log_create',
    log: 'billing',
    by: at.provisioning.split('_')[2],
    before: null,
    after: { origin: NEW.origin, verifierKey: made.body['verifierKey'], reads: 'private' },
  })
  expect(await at.changedAtStart()).toEqual([])
})

test('every act on a log leaves its line with before and after, and the next start finds nothing unrecorded', async () => {
  const at = await Instance.started()
  const path = '/v1/logs/main'
  const first = String((await at.ask('GET', path)).body['verifierKey'])
  const rotated = await at.manage(`${path}/keys`, { rotate: true, overlapSeconds: 0 })
  expect(rotated.status).toBe(201)
  const added = await at.manage(`${path}/keys`, { algorithm: 'ml-dsa-44' })
  expect(added.status).toBe(201)
  const firstId = first.split('+')[1]!
  // The log has signed with the new key since it was opened again.
  expect((await at.manage(`${path}/keys/${firstId}/retire`, { beforeOverlapEnds: true })).status).toBe(200)
  const policy = `log ${String(rotated.body['verifierKey'])}\nquorum none\n`
  expect(await at.manage(`${path}/policy`, { policy })).toEqual({ status: 200, body: { policy } })
  expect(await at.ask('GET', `${path}/policy`, at.provisioning)).toEqual({ status: 200, body: { policy } })
  expect((await at.manage(`${path}/access`, { reads: 'private', heads: 'closed' })).body).toEqual({
    reads: 'private',
    heads: 'closed',
  })
  expect((await at.ask('GET', path)).status).toBe(404)
  expect((await at.manage(`${path}/policy`, { policy: null })).body).toEqual({ policy: null })
  const frozen = await at.manage(`${path}/freeze`, { successor: 'https://log.example/logs/next' })
  expect(frozen).toMatchObject({ status: 200, body: { treeSize: 0, published: true } })
  expect((await at.manage(`${path}/freeze`)).status).toBe(200)
  expect((await at.manage(`${path}/freeze`, { successor: 'https://other.example/' })).status).toBe(409)
  expect((await at.ask('GET', path, at.provisioning)).body).toMatchObject({ state: 'frozen' })
  await at.stop()
  const told = (await at.lines('admin')).map(({ act, log, before, after }) => ({ act, log, before, after }))
  expect(told).toMatchObject([
    { act: 'log_rotate_key', before: [{ verifierKey: first }], after: [{ verifierKey: first }, {}] },
    { act: 'log_add_key', before: [], after: [{ verifierKey: added.body['verifierKey'] }] },
    { act: 'log_retire_key', before: [{ verifierKey: first }], after: [{ retired: { treeSize: 0 } }] },
    { act: 'log_set_policy', before: null, after: { policy } },
    {
      act: 'log_set_access',
      before: { reads: 'public', heads: 'open' },
      after: { reads: 'private', heads: 'closed' },
    },
    { act: 'log_set_policy', before: { policy }, after: null },
    {
      act: 'log_freeze',
      log: 'main',
      before: { state: 'serving', treeSize: 0 },
      after: { state: 'frozen', successor: 'https://log.example/logs/next' },
    },
  ])
  expect(JSON.stringify(told)).not.toContain('.skey')
  expect(await at.changedAtStart()).toEqual([])
})

test('what was changed by hand is still named, at the start and by the next act on it', async () => {
  const at = await Instance.started()
  const { policy, info } = logFiles(at.folder, 'main')
  expect((await at.manage('/v1/logs/main/policy', { policy: 'quorum none\n' })).status).toBe(200)
  await at.stop()
  appendFileSync(policy, '# a remark\n')
  expect(await at.changedAtStart()).toEqual(['policy of main'])
  await at.start()
  writeFileSync(
    info,
    readFileSync(info, 'utf8').replace('"allowDuplicates": false', '"allowDuplicates": true'),
  )
  expect((await at.manage('/v1/logs/main/access', { reads: 'private' })).status).toBe(200)
  await at.stop()
  expect((await at.lines('admin')).at(-1)).toMatchObject({ act: 'log_set_access', changed: ['log main'] })
  expect(await at.changedAtStart()).toEqual([])
})

test('what is refused changes nothing and leaves no line', async () => {
  const at = await Instance.started()
  const { body } = await at.ask('GET', '/v1/logs/hidden', at.provisioning)
  const other = `log ${String(body['verifierKey'])}\nquorum none\n`
  const refused: [string, unknown, number][] = [
    ['/v1/logs', { ...NEW, name: '../main' }, 400],
    ['/v1/logs', { ...NEW, name: 'Billing' }, 400],
    ['/v1/logs', { ...NEW, name: 'main' }, 409],
    ['/v1/logs', { ...NEW, name: 'meta' }, 400],
    ['/v1/logs', { ...NEW, origin: 'log.example/main' }, 409],
    ['/v1/logs', { ...NEW, origin: 'two words' }, 400],
    ['/v1/logs', { ...NEW, reads: 'public', heads: 'closed' }, 400],
    ['/v1/logs', { ...NEW, headFolder: '/tmp' }, 400],
    ['/v1/logs', { name: 'billing' }, 400],
    ['/v1/logs/absent/freeze', {}, 404],
    ['/v1/logs/meta/freeze', {}, 400],
    ['/v1/logs/meta/access', { heads: 'closed' }, 400],
    ['/v1/logs/meta/policy', { policy: 'quorum nobody\n' }, 400],
    ['/v1/logs/meta/keys', { rotate: true }, 400],
    ['/v1/logs/main/freeze', { successor: 'nowhere' }, 400],
    ['/v1/logs/main/keys', { overlapSeconds: 5 }, 400],
    ['/v1/logs/main/keys', { rotate: true, keyId: 'ffffffff' }, 404],
    ['/v1/logs/main/keys/ffffffff/retire', {}, 404],
    [`/v1/logs/main/keys/${String(body['verifierKey']).split('+')[1]!}/retire`, {}, 404],
    ['/v1/logs/main/policy', { policy: 'quorum nobody\n' }, 400],
    ['/v1/logs/main/policy', { policy: other }, 400],
    ['/v1/logs/main/policy', {}, 400],
    ['/v1/logs/main/access', { heads: 'closed' }, 400],
    ['/v1/logs/main/access', { reads: 'meta' }, 400],
  ]
  for (const [path, wanted, status] of refused) {
    const answer = await at.manage(path, wanted)
    expect([path, wanted, answer.status, answer.body['code']]).toEqual([
      path,
      wanted,
      status,
      expect.any(String),
    ])
    expect(JSON.stringify(answer.body)).not.toContain(at.folder)
  }
  expect((await at.ask('GET', '/v1/logs/main')).body).toMatchObject({ state: 'serving', reads: 'public' })
  await at.stop()
  expect(await at.lines('admin')).toEqual([])
  expect(await at.changedAtStart()).toEqual([])
})

test('heads that are signed after a rotation over HTTP carry the new line', async () => {
  const at = await Instance.started()
  const writer = await at.key('writer')
  const { body } = await at.manage('/v1/logs/main/keys', { rotate: true })
  expect((await at.ask('POST', '/logs/main/add', writer, 'hello')).status).toBe(200)
  const checkpoint = String((await at.ask('GET', '/logs/main/checkpoint')).body['text'])
  const verifiers = [parseVerifierKey(String(body['verifierKey']))]
  expect(openCheckpoint(checkpoint, { origin: 'log.example/main', verifiers }).checkpoint.size).toBe(1)
})

test('a policy holds from the moment it is set, and readers keep what they saw when it goes and comes again', async () => {
  const at = await Instance.started()
  const writer = await at.key('writer')
  const append = async (text: string): Promise<number> =>
    (await at.ask('POST', '/logs/main/v1/entries', writer, text)).status
  const shown = async (): Promise<unknown> => (await at.ask('GET', '/v1/logs/main')).body['treeSize']
  const witness = formatVerifierKey(
    generateCosignerKey('witness.example/w', KEY_TYPE.ed25519Cosignature).verifier,
  )
  const set = (policy: string | null) => at.manage('/v1/logs/main/policy', { policy })
  expect((await set(`witness w ${witness}\nquorum w\n`)).body['code']).toBe('usage')
  expect(await append('one')).toBe(200)
  // Nobody listens there: the head that the log is opened with is never confirmed.
  const absent = `witness w ${witness} http://127.0.0.1:9/\nquorum w\n`
  expect((await set(absent)).status).toBe(200)
  expect((await at.ask('GET', '/v1/logs/main')).body['state']).toBe('confirming')
  expect(await append('two')).toBe(503)
  expect(await shown()).toBe(1)
  expect((await at.manage('/v1/logs/main/freeze', {})).body['code']).toBe('log_halted')
  expect((await set(null)).status).toBe(200)
  expect(await append('two')).toBe(200)
  expect(await shown()).toBe(2)
  expect((await set(absent)).status).toBe(200)
  expect(await shown()).toBe(2)
  await at.stop()
  expect((await at.lines('admin')).map(({ act }) => act)).toEqual([
    'key_create',
    'log_set_policy',
    'log_set_policy',
    'log_set_policy',
  ])
})
