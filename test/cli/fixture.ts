import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import type { Io } from '../../src/cli/io.ts'
import { run } from '../../src/cli/run.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createLog, initDataFolder, readLogInfo } from '../../src/instance/data-folder.ts'
import { createServer, type RunningServer } from '../../src/server/start.ts'
import { testFolder } from '../support/folder.ts'

/** What a command line left behind. */
export interface Ran {
  readonly code: number
  readonly out: string
  readonly bytes: Buffer
  readonly err: string
}

export interface World {
  readonly stdin?: string | Uint8Array
  readonly env?: Record<string, string>
  /** Makes both outputs terminals. */
  readonly terminal?: boolean
  /** Is handed what sends a stop signal. */
  readonly onStop?: (stop: () => void) => void
  /** Sees standard output as it comes. */
  readonly onOut?: (text: string) => void
}

/** Runs a command line in this process. */
export async function stele(args: readonly string[], world: World = {}): Promise<Ran> {
  const out = new Collector(world)
  const err = new Collector({ ...world, onOut: () => {} })
  const io: Io = {
    stdout: out,
    stderr: err,
    stdin: Readable.from(world.stdin === undefined ? [] : [Buffer.from(world.stdin)]),
    env: world.env ?? {},
    calledAs: 'stele',
    onReloadSignal: () => () => {},
    onStopSignal(stop) {
      world.onStop?.(stop)
      return () => {}
    },
    crash: () => {
      throw new Error('crash')
    },
    exit: (code) => {
      throw new Error(`exit ${code}`)
    },
  }
  const code = await run(args, io)
  return { code, out: out.bytes.toString(), bytes: out.bytes, err: err.bytes.toString() }
}

class Collector extends Writable {
  readonly #parts: Buffer[] = []
  readonly isTTY: boolean
  readonly columns = 100

  constructor({ terminal = false, onOut }: World) {
    super({
      write: (part: Buffer, _, done) => {
        this.#parts.push(Buffer.from(part))
        onOut?.(part.toString())
        done()
      },
    })
    this.isTTY = terminal
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** A data folder with one log, and a server on it. */
export interface Served {
  readonly data: string
  readonly url: string
  readonly key: string
  /** Flags that name this log. */
  readonly flags: readonly string[]
  readonly server: RunningServer
  stop(): Promise<void>
}

export const ORIGIN = 'log.example/logs/main'

/** Makes a data folder with a log "main" in the running test's own folder. */
export async function dataFolder({ allowDuplicates = false } = {}): Promise<{ data: string; key: string }> {
  const data = join(testFolder(), 'data')
  await initDataFolder(data)
  await createLog(data, { name: 'main', origin: ORIGIN, allowDuplicates, reads: 'public' })
  return { data, key: (await readLogInfo(data, 'main')).verifierKey }
}

/** Serves a data folder until the test has finished. */
export async function serve({ data, key }: { data: string; key: string }, port = 0): Promise<Served> {
  const config = loadConfig({ flags: { data, port, open: true, 'log-level': 'silent' } })
  const server = await createServer(config, pino({ level: 'silent' }))
  const url = `${server.url}/logs/main`
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => (stopped ??= server.close())
  onTestFinished(stop)
  return { data, url, key, flags: ['--url', url, '--key', key], server, stop }
}

export const lines = (n: number): string => Array.from({ length: n }, (_, i) => `line ${i}\n`).join('')
