import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { loadConfig } from '../../src/config/config.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import { mirrorOptions } from '../../src/mirror/config.ts'
import { startMirror } from '../../src/mirror/start.ts'
import { witnessOptions } from '../../src/witness/cosigner-config.ts'
import { originHash } from '../../src/witness/logs.ts'
import { startWitness } from '../../src/witness/start.ts'
import { parseState } from '../../src/monitor/state.ts'
import { stele } from '../cli/fixture.ts'
import { SETTINGS } from '../instance/settings.ts'
import { testFolder } from '../support/folder.ts'

/*
 * What earlier versions wrote: one archive for each change of a format, made by the commands of that version, the keys
 * included. Each of them keeps opening. `proto-docs/upgrading.md` says what is promised.
 */
const ARCHIVES = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.tar.gz'))
const WITNESS = 'witness.example/w1'
const SILENT = pino({ level: 'silent' })

describe.each(ARCHIVES)('%s', (archive) => {
  function unpacked(): (...names: string[]) => string {
    const folder = testFolder()
    execFileSync('tar', ['-xzf', join(import.meta.dirname, archive), '-C', folder])
    return (...names) => join(folder, ...names)
  }
  const text = (path: string): string => readFileSync(path, 'utf8').trim()

  test.each([
    ['main', 300],
    ['plain', 301],
    ['next', 1],
  ])('the log %s is whole, and an auditor finds what was signed', async (name, size) => {
    const at = unpacked()
    const ran = await stele(['fsck', name, '--data', at('data')])
    expect([ran.err, ran.code]).toEqual(['', 0])
    expect(ran.out).toContain(`the signed root hash at size ${size}`)
  })

  test('a log that goes on takes entries, and one that was frozen takes none', async () => {
    const at = unpacked()
    const next = await openStoredLog(at('data'), 'next', SETTINGS)
    expect((await next.append([encodeUtf8('new')])).placements[0]!.index).toBe(1)
    await next.close()
    const plain = await openStoredLog(at('data'), 'plain', SETTINGS)
    await expect(plain.append([encodeUtf8('new')])).rejects.toMatchObject({ code: 'frozen' })
    await plain.close()
  })

  test('a proof file is verified under its policy', async () => {
    const at = unpacked()
    const ran = await stele([
      'verify',
      at('entry-5.tlog-proof'),
      '--entry',
      at('entry-5'),
      '--policy',
      at('policy'),
    ])
    expect([ran.err, ran.code]).toEqual(['', 0])
    expect(ran.out).toMatch(/^verified: entry 5 of log\.example\/main, in the tree of size 300 /)
    expect(ran.out).toContain(`cosigned     by ${WITNESS}`)
  })

  test('a file of evidence proves what it proved', async () => {
    const at = unpacked()
    const evidence = at('evidence', 'fork.json')
    const { keys } = JSON.parse(text(evidence)) as { keys: string[] }
    const ran = await stele(['verify', '--evidence', evidence, '--key', keys[0]!])
    expect([ran.err, ran.code]).toEqual(['', 0])
    expect(ran.out).toMatch(/^proven: fork of log\.example\/logs\/main, sizes 600 and 650\n/)
  })

  test('a backup is restored', async () => {
    const at = unpacked()
    const to = testFolder()
    await stele(['init', '--data', to, '--name', 'other', '--origin', 'log.example/other', '--quiet'])
    const restore = ['restore', 'main', '--data', to, '--from', at('backup'), '--without-witness', WITNESS]
    const ran = await stele(restore)
    expect([ran.code, ran.err]).toEqual([0, expect.any(String)])
    const checked = await stele(['fsck', 'main', '--data', to])
    expect([checked.code, checked.out]).toEqual([0, expect.stringContaining('at size 300')])
  })

  test('a witness and a mirror go on', async () => {
    const at = unpacked()
    const port = 0
    const witness = await startWitness(witnessOptions.load({ flags: { data: at('witness'), port } }), SILENT)
    onTestFinished(() => witness.close())
    expect((await fetch(`${witness.url}/readyz`)).status).toBe(200)
    expect(witness.logs.map(({ origin }) => origin)).toEqual(['log.example/main'])
    const mirror = await startMirror(mirrorOptions.load({ flags: { data: at('mirror'), port } }), SILENT)
    onTestFinished(() => mirror.close())
    const place = `${mirror.url}/${originHash('log.example/main')}`
    expect((await (await fetch(`${place}/checkpoint`)).text()).split('\n').slice(0, 2)).toEqual([
      'log.example/main',
      '300',
    ])
    expect((await fetch(`${place}/tile/entries/000`)).status).toBe(200)
  })

  test('a monitor knows what it has read', async () => {
    const at = unpacked()
    const state = text(at('monitor', 'log.example_main-65d589d7.json'))
    const { nextIndex, head } = parseState(`${state}\n`, 'log.example/main')
    expect([nextIndex, head?.note.split('\n')[1]]).toEqual([300, '300'])
  })

  test('a configuration file means what it meant', () => {
    const at = unpacked()
    const config = loadConfig({ file: at('config.yaml') })
    expect(config).toMatchObject({
      'head-interval-seconds': 120,
      'stale-head-seconds': 600,
      'max-connections': 500,
      'trusted-proxies': '10.0.0.0/8',
      'log-level': 'warn',
    })
  })
})
