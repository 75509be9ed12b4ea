import { cpSync, rmSync, symlinkSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import type { MadeKey } from '../../src/access/keyring.ts'
import { initAccess } from '../../src/instance/access-files.ts'
import { Connection, type Answer } from '../process/connection.ts'
import { makeLogFolder } from '../process/log-folder.ts'
import { ServerProcess } from '../support/process.ts'
import { fill, mountedDisk, whyNoMount } from '../support/disk.ts'

const MIB = 1024 * 1024

const missing = whyNoMount()
if (missing !== undefined) console.info(`meta disk full: skipped, for ${missing}`)

test.skipIf(missing !== undefined)(
  'when the disk of the meta log is full, nothing is done for keys, what is public is read, and all is well again with room',
  async () => {
    const disk = mountedDisk(64)
    const { folder } = await makeLogFolder()
    const { key } = await initAccess(folder, 'log.example/meta')
    // The meta log alone is on the small disk.
    cpSync(`${folder}/logs/meta`, `${disk}/meta`, { recursive: true })
    rmSync(`${folder}/logs/meta`, { recursive: true })
    symlinkSync(`${disk}/meta`, `${folder}/logs/meta`)
    const server = new ServerProcess(folder, { open: false })
    const url = await server.url
    const provisioning = new Connection(url, { key })
    const body = Buffer.from('{"role":"writer","logs":"*"}')
    const made = await provisioning.ask('/v1/keys', { method: 'POST', body })
    const writer = new Connection(url, { key: (JSON.parse(String(made.body)) as MadeKey).key })
    const anyone = new Connection(url)
    let entries = 0
    const append = (): Promise<Answer> =>
      writer.ask('/logs/main/add', { method: 'POST', body: Buffer.from(`entry ${entries++} `.repeat(10)) })
    expect((await append()).status).toBe(200)

    fill(disk, MIB)
    let answer = await append()
    for (let i = 0; answer.status === 200 && i < 20_000; i++) answer = await append()
    const codeOf = ({ status, body: text }: Answer): unknown => [
      status,
      (JSON.parse(String(text)) as { code: string }).code,
    ]
    expect(codeOf(answer)).toEqual([503, 'untraceable'])
    const size = async (): Promise<number> =>
      Number(String((await anyone.ask('/logs/main/checkpoint')).body).split('\n')[1])
    const halted = await size()
    expect(codeOf(await append())).toEqual([503, 'untraceable'])
    expect(codeOf(await provisioning.ask('/v1/keys'))).toEqual([503, 'untraceable'])
    // What was refused before it began was not done; who reads without a key is not concerned.
    expect(await size()).toBe(halted)
    expect((await anyone.ask('/logs/main/v1/entries?begin=0')).status).toBe(200)
    expect((await anyone.ask('/readyz')).status).toBe(503)

    rmSync(`${disk}/filler`)
    await vi.waitUntil(async () => (await append()).status === 200, { timeout: 90_000, interval: 200 })
    expect((await provisioning.ask('/v1/keys')).status).toBe(200)
    expect((await anyone.ask('/readyz')).status).toBe(200)
    for (const connection of [provisioning, writer, anyone]) connection.close()
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  },
)
