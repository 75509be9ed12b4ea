import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { fill, mountedDisk, whyNoMount } from '../support/disk.ts'
import { ServerProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { makeLogFolder, prefix } from './log-folder.ts'
import { MonitorProcess, savedPosition } from './monitor-process.ts'

const missing = whyNoMount()
if (missing !== undefined) console.info(`a monitor's full disk: skipped, for ${missing}`)

test.skipIf(missing !== undefined)(
  'a monitor whose disk is full says so, stays where it is, ends with 40 where it is run once, and skips nothing afterwards',
  { timeout: 60_000 },
  async () => {
    const log = await makeLogFolder()
    const server = new ServerProcess(log.folder)
    const url = prefix(await server.url)
    const connection = new Connection(url)
    const append = async (text: string): Promise<void> => {
      const { status } = await connection.ask('v1/entries', { method: 'POST', body: Buffer.from(text) })
      expect(status).toBe(200)
    }
    const disk = mountedDisk(4)
    const state = join(disk, 'state')
    const flags = [url, '--key', log.verifierKey, '--state', state, '--contains', 'needle', '--interval', '1']
    const nextIndex = (): number => savedPosition(state, log.origin)
    const until = (fact: () => boolean): Promise<boolean> =>
      vi.waitUntil(fact, { timeout: 20_000, interval: 20 })
    const indexes = ({ findings }: MonitorProcess): unknown[] => findings.map(({ detail }) => detail['index'])

    const monitor = new MonitorProcess(flags)
    await append('needle 0')
    await until(() => nextIndex() === 1)

    // Full: a head is accepted only once it is saved, so nothing moves on, and it is said.
    fill(disk, 0)
    await append('needle 1')
    await until(() => {
      // Again and again: each save that gives back the room of the file that it replaces makes room for the next one.
      fill(disk, 0)
      return monitor.output.includes('the state cannot be saved')
    })
    await monitor.kill()
    const stayedAt = nextIndex()
    expect(indexes(monitor)).toEqual(expect.arrayContaining([0, 1].slice(0, stayedAt)))
    await append('needle 2')

    // A monitor that starts on the full disk looks all the same, though it cannot lock, and ends with the code for it.
    const once = new MonitorProcess([...flags, '--once'])
    expect(await once.exited).toEqual({ code: EXIT_CODES.io_error, signal: null })
    expect(once.output).toContain('the state folder cannot be locked')
    expect(once.output).toMatch(/the state cannot be saved, so there is no progress \(entry \d\).*ENOSPC/)
    expect(nextIndex()).toBe(stayedAt)

    // And one that lives until there is room goes on by itself, with what came meanwhile.
    const lasting = new MonitorProcess(flags)
    await until(() => lasting.output.includes('the state cannot be saved'))
    await append('needle 3')
    rmSync(join(disk, 'filler'))
    await until(() => nextIndex() === 4)
    expect(new Set([...indexes(monitor), ...indexes(lasting)])).toEqual(new Set([0, 1, 2, 3]))
    expect(await lasting.stop()).toEqual({ code: 0, signal: null })
    connection.close()
  },
)
