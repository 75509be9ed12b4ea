import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { generateCosignerKey, cosigningSigner } from '../../src/note/cosigner.ts'
import { formatCheckpoint } from '../../src/note/checkpoint.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, generateSigningKey, verifierKey } from '../../src/note/key.ts'
import { signNote, type NoteSigner } from '../../src/note/note.ts'
import { FakeLog, texts } from '../client/fake-log.ts'
import { testFolder } from '../support/folder.ts'
import { stele } from './fixture.ts'
import { serveFolder } from './static-server.ts'

// As sum.golang.org: the origin is not the name of the key.
const ORIGIN = 'go.sum database tree'
const KEY = generateSigningKey('sum.example')
const VKEY = formatVerifierKey(KEY.verifier)
const WITNESS = generateCosignerKey('witness.example/1', KEY_TYPE.ed25519Cosignature)
const WITNESS_VKEY = formatVerifierKey(WITNESS.verifier)

interface Served {
  readonly folder: string
  readonly url: string
  /** Every command that reads a log, but those that take no URL. */
  commands(...flags: string[]): Promise<[string, number][]>
}

/** A log of files, whose checkpoint is of `origin` and signed by these. */
async function served(signers: readonly NoteSigner[], origin = ORIGIN): Promise<Served> {
  const folder = join(testFolder(), 'public')
  const log = await FakeLog.create(300)
  const { size, root } = log.tree
  log.note = await signNote(formatCheckpoint({ origin, size, root }), signers)
  for (const path of log.paths()) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), log.file(path)!)
  }
  const url = await serveFolder(folder)
  const entry = join(testFolder(), 'entry')
  writeFileSync(entry, texts(7, 8)[0]!)
  return {
    folder,
    url,
    async commands(...flags) {
      const proof = join(testFolder(), 'line.tlog-proof')
      const state = join(testFolder(), 'monitor')
      const calls = [
        ['checkpoint', '--url', url],
        ['get', '7', '--url', url],
        ['prove', '7', '--url', url, '-o', proof],
        ['consistency', join(folder, 'checkpoint'), '--url', url],
        ['audit', url],
        ['audit', folder],
        ['fsck', url],
        ['fsck', folder],
        ['monitor', url, '--once', '--state', state],
        ['verify', proof, '--entry', entry],
      ]
      const codes: [string, number][] = []
      for (const call of calls) codes.push([call[0]!, (await stele([...call, ...flags])).code])
      return codes
    },
  }
}

const codesOf = (codes: readonly [string, number][]): number[] => [...new Set(codes.map(([, code]) => code))]

test('--origin names a log whose key has another name, for every command that reads one', async () => {
  const log = await served([KEY])
  expect(codesOf(await log.commands('--key', VKEY, '--origin', ORIGIN))).toEqual([0])
  const { code, err } = await stele(['checkpoint', '--url', log.url, '--key', VKEY])
  expect([code, err]).toEqual([EXIT_CODES.wrong_origin, expect.stringContaining(ORIGIN)])
})

test('--policy asks for cosignatures, and says which log is meant where no key is given', async () => {
  const policy = join(testFolder(), 'policy')
  writeFileSync(policy, `log ${VKEY}\nwitness w ${WITNESS_VKEY}\nquorum w\n`)
  const origin = KEY.name
  const alone = await served([KEY], origin)
  const codes = Object.fromEntries(await alone.commands('--key', VKEY, '--policy', policy))
  expect(codes).toMatchObject({
    checkpoint: EXIT_CODES.quorum_not_met,
    get: EXIT_CODES.quorum_not_met,
    prove: EXIT_CODES.quorum_not_met,
    consistency: EXIT_CODES.quorum_not_met,
    audit: EXIT_CODES.quorum_not_met,
    fsck: EXIT_CODES.quorum_not_met,
    monitor: EXIT_CODES.quorum_not_met,
  })
  const witnessed = await served([KEY, cosigningSigner(WITNESS, () => Math.floor(Date.now() / 1000))], origin)
  expect(codesOf(await witnessed.commands('--key', VKEY, '--policy', policy))).toEqual([0])
  expect(codesOf(await witnessed.commands('--policy', policy))).toEqual([0])
})

test('a policy that lists several logs takes --origin', async () => {
  const other = formatVerifierKey(generateSigningKey('other.example').verifier)
  const policy = join(testFolder(), 'policy')
  writeFileSync(policy, `log ${VKEY}\nlog ${other}\nquorum none\n`)
  const log = await served([KEY], KEY.name)
  const call = ['checkpoint', '--url', log.url, '--policy', policy]
  const { code, err } = await stele(call)
  expect([code, err]).toEqual([
    EXIT_CODES.usage,
    expect.stringMatching(/sum\.example, other\.example.*--origin/s),
  ])
  expect((await stele([...call, '--origin', KEY.name])).code).toBe(0)
})

test('a static-ct log is called one, and not damaged', async () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
  const vkey = formatVerifierKey(verifierKey('ct.example/2026', KEY_TYPE.treeHead, spki))
  const log = await served([KEY], 'ct.example/2026')
  for (const call of [
    ['audit', log.url],
    ['fsck', log.folder],
    ['get', '7', '--url', log.url],
  ]) {
    const { code, out, err } = await stele([...call, '--key', vkey])
    expect([call[0], code, out]).toEqual([call[0], EXIT_CODES.foreign_format, ''])
    expect(err).toMatch(/static-ct log.*tile\/data\//s)
  }
  const mirror = join(testFolder(), 'mirror')
  await stele(['mirror', 'init', '--name', 'mirror.example/1', '--data', mirror])
  const added = await stele(['mirror', 'add-log', vkey, '--url', log.url, '--data', mirror])
  expect(added.code).toBe(EXIT_CODES.foreign_format)
  const state = join(testFolder(), 'monitor')
  const { code, err } = await stele(['monitor', log.url, '--key', vkey, '--once', '--state', state])
  expect([code, err]).toEqual([EXIT_CODES.usage, expect.stringContaining('static-ct')])
})

test('the key of a witness in place of the key of a log is refused, and it is said what to do', async () => {
  const log = await served([KEY])
  const codes = await log.commands('--key', WITNESS_VKEY)
  expect(codesOf(codes)).toEqual([EXIT_CODES.usage])
  const { err } = await stele(['checkpoint', '--url', log.url, '--key', WITNESS_VKEY])
  expect(err).toMatch(/cosigner key of witness\.example\/1 \(type 0x04\).*operator.*policy/s)
  expect((await stele(['audit', log.url, '--key', WITNESS_VKEY])).err).toMatch(/mirror.*--origin/s)
})

test('several keys in place of one are counted, and not read as one', async () => {
  const file = join(testFolder(), 'keys')
  writeFileSync(file, `${VKEY}\n${WITNESS_VKEY}\n`)
  const { code, err } = await stele(['checkpoint', '--url', 'http://127.0.0.1:1', '--key', file])
  expect([code, err]).toEqual([EXIT_CODES.usage, expect.stringContaining('one verifier key, got 2')])
})
