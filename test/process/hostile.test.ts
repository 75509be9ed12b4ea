import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { ServerProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { makeLogFolder, prefix } from './log-folder.ts'

const LIMIT = { timeout: 60_000 }
const APPENDS = 500

test(
  '200 idle and 50 slowly sending connections do not keep a normal client from its answers',
  LIMIT,
  async () => {
    const log = await makeLogFolder()
    // Longer than this takes on any machine: those who send slowly are there to the end.
    const flags = ['--headers-timeout-seconds', '50', '--body-timeout-seconds', '50']
    const server = new ServerProcess(log.folder, { flags })
    const url = prefix(await server.url)
    const port = Number(new URL(url).port)
    await Promise.all(Array.from({ length: 200 }, () => opened(port)))
    const slow = await Promise.all(Array.from({ length: 50 }, () => opened(port)))
    slow.forEach((socket, i) => sendSlowly(socket, i))

    const client = new Connection(url)
    const tookMs: number[] = []
    for (let i = 0; i < APPENDS; i++) {
      const startedMs = performance.now()
      const answer = await client.ask('v1/entries', { method: 'POST', body: Buffer.from(`entry ${i}`) })
      tookMs.push(performance.now() - startedMs)
      expect(answer.status).toBe(200)
    }
    client.close()
    tookMs.sort((a, b) => a - b)
    const [p50, p99] = [0.5, 0.99].map((share) => tookMs[Math.floor(APPENDS * share)]!)
    console.info(`hostile: ${APPENDS} appends, p50 ${p50!.toFixed(1)} ms, p99 ${p99!.toFixed(1)} ms`)
    expect(slow.filter((socket) => socket.destroyed).length).toBe(0)
  },
)

async function opened(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  // The server may close it, however it likes.
  socket.on('error', () => {})
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return socket
}

/** One byte every 50 ms: half of them of a request's head, half of a body that was announced in full. */
function sendSlowly(socket: Socket, number: number): void {
  const head = 'POST /logs/main/add HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n'
  if (number % 2 === 0) socket.write(`${head}\r\n`)
  else socket.write(head)
  const timer = setInterval(() => socket.write('x'), 50)
  socket.once('close', () => clearInterval(timer))
}
