import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE, type CosignerKeyType } from '../../src/note/key-id.ts'
import { formatVerifierKey } from '../../src/note/key.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, ORIGIN, stele } from './fixture.ts'

const witness = (name: string, type: CosignerKeyType = KEY_TYPE.ed25519Cosignature): string =>
  formatVerifierKey(generateCosignerKey(name, type).verifier)
const make = (...args: string[]): ReturnType<typeof stele> => stele(['policy', 'make', ...args])

describe('stele policy make', () => {
  test('writes what stele policy check and a log read: so many of these witnesses', async () => {
    const { key } = await dataFolder()
    const [a, b] = [witness('a.example/w'), witness('b.example/w', KEY_TYPE.mlDsa44Cosignature)]
    const { code, out } = await make('--log', key, '--witness', `${a}=http://a.example`, b, '--quorum', '1')
    expect(code).toBe(0)
    const { logs, witnesses, groups, quorum } = parsePolicy(out)
    expect(logs.map((log) => log.key.name)).toEqual([ORIGIN])
    // The ML-DSA-44 key ends in "=", and no URL was given with it.
    expect(witnesses.map(({ key: of, url }) => [formatVerifierKey(of), url])).toEqual([
      [a, 'http://a.example'],
      [b, undefined],
    ])
    expect(groups).toEqual([{ name: quorum, threshold: 1, members: ['a.example/w', 'b.example/w'] }])
  })

  test('writes a new file, and never over one that is there', async () => {
    const output = join(testFolder(), 'my.policy')
    const args = ['--witness', `${witness('a.example/w')}=http://a.example`, '--quorum', '1', '-o', output]
    expect(await make(...args)).toMatchObject({ code: 0, out: '' })
    const text = readFileSync(output, 'utf8')
    expect((await make(...args)).code).toBe(3)
    expect(readFileSync(output, 'utf8')).toBe(text)
  })

  test('without witnesses it names logs, and asks for no cosignature', async () => {
    const { key } = await dataFolder()
    const { code, out } = await make('--log', key)
    expect(code).toBe(0)
    expect(parsePolicy(out)).toMatchObject({
      logs: [{ key: { name: ORIGIN } }],
      witnesses: [],
      quorum: 'none',
    })
    for (const args of [[], ['--log', key, '--quorum', '1'], ['--witness', witness('a')]]) {
      expect((await make(...args)).code).toBe(2)
    }
  })

  test.each([
    ['a quorum above the number of witnesses', [witness('a')], '2'],
    ['a quorum of nobody', [witness('a')], '0'],
    ['two keys of one witness, who would count twice', [witness('a'), witness('a')], '1'],
    ['what is no key', ['nonsense'], '1'],
  ])('refuses %s, and writes nothing', async (_, witnesses, quorum) => {
    const output = join(testFolder(), 'my.policy')
    const refused = await make('--witness', ...witnesses, '--quorum', quorum, '-o', output)
    expect(refused.code).toBe(2)
    expect(existsSync(output)).toBe(false)
  })

  test("refuses a log's key for a witness, and a witness's for a log", async () => {
    const { key } = await dataFolder()
    const swapped = await make('--log', witness('a'), '--witness', witness('b'), '--quorum', '1')
    expect(swapped).toMatchObject({ code: 2 })
    expect((await make('--witness', key, '--quorum', '1')).err).toContain('expected a key of a witness')
  })
})
