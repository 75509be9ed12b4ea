import { writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openLogClient } from '../../src/client/index.ts'
import { idOf } from '../../src/instance/change-keys.ts'
import { stele } from '../cli/fixture.ts'
import { ServerProcess } from '../support/process.ts'
import { testFolder } from '../support/folder.ts'
import { makeLogFolder, prefix } from './log-folder.ts'

const entry = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('the life of a log, with a server in a process of its own', () => {
  test('whoever pinned the first key follows two rotations, and nobody else is believed', async () => {
    const log = await makeLogFolder()
    const out = testFolder()
    const pinned = log.verifierKey
    const local = ['--data', log.folder]
    const append = async (text: string): Promise<void> => {
      const server = new ServerProcess(log.folder)
      const url = prefix(await server.url)
      const reply = await fetch(`${url}v1/entries`, { method: 'POST', body: text })
      expect(reply.status).toBe(200)
      await server.stop()
    }
    await append('first')
    for (const [i, old] of [pinned, undefined].entries()) {
      const shown = JSON.parse((await stele(['log', 'show', 'main', '--json', ...local])).out) as {
        verifierKey: string
      }
      const retiring = old ?? shown.verifierKey
      const rotated = await stele(['log', 'rotate-key', 'main', '--overlap-days', '0', ...local])
      expect(rotated).toMatchObject({ code: 0 })
      await append(`beside ${i}`)
      const retired = await stele([
        'log',
        'retire-key',
        'main',
        idOf(retiring),
        '--before-overlap-ends',
        ...local,
      ])
      expect(retired).toMatchObject({ code: 0 })
    }
    await append('last')
    expect(await stele(['log', 'retire-key', 'main', idOf(pinned), ...local])).toMatchObject({ code: 4 })

    const server = new ServerProcess(log.folder)
    const url = prefix(await server.url)
    expect(await stele(['log', 'add-key', 'main', ...local])).toMatchObject({ code: 32 })
    const rotations = await (await fetch(`${url}v1/keys/rotations`)).text()
    const file = `${out}/rotations`
    writeFileSync(file, rotations)
    writeFileSync(`${out}/entry`, 'last')

    // The client.
    const options = { url, origin: log.origin, verifierKey: pinned, deadlineMs: 0 }
    await expect(openLogClient(options).checkpoint()).rejects.toMatchObject({ code: 'untrusted_signer' })
    expect((await openLogClient({ ...options, rotations }).checkpoint()).size).toBe(4)
    const forged = rotations.replace(/^size .*$/m, 'size 99')
    expect(() => openLogClient({ ...options, rotations: forged })).toThrow(/does not verify/)

    // The command line: proof, audit, monitor.
    const proof = `${out}/last.tlog-proof`
    const key = ['--key', pinned]
    const current = (await (await fetch(`${url}v1/keys`)).json()) as {
      keys: { state: string; verifierKey: string }[]
    }
    expect(current.keys.map(({ state }) => state)).toEqual(['retired', 'retired', 'active'])
    const flags = ['--url', url.replace(/\/$/, '')]
    const proved = await stele(['prove', '3', '-o', proof, ...flags, '--key', current.keys[2]!.verifierKey])
    expect(proved).toMatchObject({ code: 0 })
    const verify = ['verify', proof, '--entry', `${out}/entry`, ...key]
    expect(await stele(verify)).toMatchObject({ code: 12 })
    expect(await stele([...verify, '--rotations', file])).toMatchObject({ code: 0 })
    writeFileSync(`${out}/policy`, `log ${pinned}\nquorum none\n`)
    const byPolicy = ['verify', proof, '--entry', `${out}/entry`, '--policy', `${out}/policy`]
    expect(await stele(byPolicy)).toMatchObject({ code: 12 })
    expect(await stele([...byPolicy, '--rotations', file])).toMatchObject({ code: 0 })
    const audit = ['audit', flags[1]!, ...key]
    expect(await stele(audit)).toMatchObject({ code: 12 })
    expect(await stele([...audit, '--rotations', file])).toMatchObject({ code: 0 })
    const monitor = ['monitor', flags[1]!, '--once', '--state', `${out}/state`, ...key]
    // It asks for the statements itself.
    expect(await stele(monitor)).toMatchObject({ code: 0 })
    expect(await stele([...monitor, '--rotations', file])).toMatchObject({ code: 0 })
    await server.stop()
    expect(await stele(['fsck', 'main', ...local])).toMatchObject({ code: 0 })
  }, 90_000)

  test('a log that rolled over sends writers to its successor, over restarts, and both can be checked', async () => {
    const log = await makeLogFolder()
    const local = ['--data', log.folder]
    const flags = ['--origin', 'log.example/next', '--successor', 'https://log.example/logs/next']
    const rolled = await stele(['log', 'rollover', 'main', 'next', ...flags, ...local])
    expect(rolled).toMatchObject({ code: 0 })
    for (let round = 0; round < 2; round++) {
      const server = new ServerProcess(log.folder)
      const url = await server.url
      const refused = await fetch(`${prefix(url)}add`, { method: 'POST', body: 'late' })
      expect(refused.status).toBe(410)
      expect(refused.headers.get('link')).toBe('<https://log.example/logs/next>; rel="successor-version"')
      const client = openLogClient({ url: prefix(url), verifierKey: log.verifierKey })
      await expect(client.append(entry('late'))).rejects.toMatchObject({
        code: 'frozen',
        successor: 'https://log.example/logs/next',
      })
      expect((await client.checkpoint()).size).toBe(1)
      expect((await fetch(`${url}/readyz`)).status).toBe(200)
      const added = await fetch(`${url}/logs/next/add`, { method: 'POST', body: `entry ${round}` })
      expect(added.status).toBe(200)
      await server.stop()
    }
    for (const name of ['main', 'next']) {
      expect(await stele(['log', 'lineage', name, ...local])).toMatchObject({ code: 0 })
      expect(await stele(['fsck', name, ...local])).toMatchObject({ code: 0 })
    }
    expect((await stele(['log', 'show', 'main', ...local])).out).toContain(
      'frozen; continues at https://log.example/logs/next',
    )
    expect(await stele(['log', 'freeze', 'next', ...local])).toMatchObject({ code: 0 })
    expect(await stele(['log', 'freeze', 'next', ...local])).toMatchObject({ code: 0 })
    expect((await stele(['log', 'show', 'next', ...local])).out).toMatch(/state +frozen$/m)
    const wrong = ['log', 'freeze', 'next', '--successor', 'nonsense', ...local]
    expect(await stele(wrong)).toMatchObject({ code: 2 })
  }, 60_000)
})
