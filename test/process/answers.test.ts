import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { encodeBundle } from '../../src/tile/bundle.ts'
import { ServerProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { makeLogFolder, prefix } from './log-folder.ts'

const LIMIT = { timeout: 60_000 }
/** A full bundle is 15 MB of this: it takes the server more memory than anything else that a stranger may ask for. */
const ENTRY_BYTES = 60_000
/** What a server may come to, as a multiple of what it takes before anybody reads. */
const MOST = 2.5
const REQUEST = 'GET /logs/main/tile/entries/000 HTTP/1.1\r\nhost: a\r\n\r\n'

test('150 pipelined requests for a large bundle whose answers are not read', LIMIT, async () => {
  const server = await served()
  for (const requests of [150, 50]) {
    const socket = await opened(server.port)
    socket.write(REQUEST.repeat(requests))
  }
  await server.staysWell()
})

test('40 readers who stop after the first bytes of a large bundle', LIMIT, async () => {
  const server = await served()
  const sockets = await Promise.all(Array.from({ length: 40 }, () => opened(server.port)))
  for (const socket of sockets) socket.write(REQUEST)
  await server.staysWell()
})

test('40 readers of a large bundle who hang up in its midst', LIMIT, async () => {
  const server = await served()
  const sockets = await Promise.all(Array.from({ length: 40 }, () => opened(server.port)))
  await Promise.all(
    sockets.map(async (socket) => {
      socket.write(REQUEST)
      await once(socket, 'readable')
      socket.destroy()
    }),
  )
  await server.staysWell()
})

interface Served {
  readonly port: number
  /** A normal client gets its answers, and the server has not taken more memory than it may. */
  staysWell(): Promise<void>
}

async function served(): Promise<Served> {
  const { folder } = await makeLogFolder()
  const server = new ServerProcess(folder)
  const url = prefix(await server.url)
  const entries = Array.from({ length: 256 }, (_, i) => Buffer.from(`${i} `.padEnd(ENTRY_BYTES, 'x')))
  // From another address than those who attack: one address may hold a part of the memory only.
  const client = new Connection(url, { localAddress: '127.0.0.2' })
  onTestFinished(() => client.close())
  const headers = { 'content-type': 'application/vnd.c2sp.entry-bundle' }
  const batch = { method: 'POST', body: encodeBundle(entries), headers } as const
  expect((await client.ask('v1/batches?wait=published', batch)).status).toBe(200)
  // One reader at a time is no attack: what it takes to read the bundle once belongs to the figure.
  expect((await client.ask('tile/entries/000')).body.equals(encodeBundle(entries))).toBe(true)
  const idle = peakRssBytes(server.pid)
  return {
    port: Number(new URL(url).port),
    async staysWell() {
      for (let i = 0; i < 20; i++) {
        const body = Buffer.from(`entry ${i}`)
        expect((await client.ask('v1/entries', { method: 'POST', body })).status).toBe(200)
        expect((await client.ask('checkpoint')).status).toBe(200)
      }
      expect((await client.ask('tile/entries/000')).body.length).toBe(256 * (ENTRY_BYTES + 2))
      const peak = peakRssBytes(server.pid)
      console.info(`answers: ${Math.round(idle / 1e6)} MB before, ${Math.round(peak / 1e6)} MB at most`)
      expect(peak).toBeLessThan(MOST * idle)
    },
  }
}

/** The most that the process has taken at any moment. */
function peakRssBytes(pid: number): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!
  return Number(kib) * 1024
}

/** A connection that reads nothing by itself. */
async function opened(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}
