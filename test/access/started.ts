import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import type { MadeKey } from '../../src/access/keyring.ts'
import { loadConfig } from '../../src/config/config.ts'
import { withOfflineAccess } from '../../src/server/offline.ts'
import { startServer, type RunningServer } from '../../src/server/start.ts'
import { linesOf, type Line } from './stage.ts'
import { makeInstanceFolder } from '../support/instance-folder.ts'

/** A data folder with a log `main`, keys and a meta log, and servers on it, one after the other. */
export class Folder {
  readonly path: string
  readonly provisioning: string
  /** What the servers wrote about themselves. */
  readonly said: string[] = []

  private constructor(path: string, provisioning: string) {
    this.path = path
    this.provisioning = provisioning
  }

  static async create(): Promise<Folder> {
    const { data, provisioning } = await makeInstanceFolder(['main'])
    return new Folder(data, provisioning)
  }

  async start(flags: Readonly<Record<string, unknown>> = {}): Promise<RunningServer> {
    const config = loadConfig({ flags: { data: this.path, port: 0, ...flags } })
    const sink = new Writable({
      write: (chunk: Buffer, _, done) => {
        this.said.push(chunk.toString())
        done()
      },
    })
    const server = await startServer(config, pino(sink))
    let closed: Promise<void> | undefined
    const close = (): Promise<void> => (closed ??= server.close())
    onTestFinished(close)
    return { ...server, close }
  }

  /** Starts and stops a server once. */
  async once(flags?: Readonly<Record<string, unknown>>): Promise<void> {
    await (await this.start(flags)).close()
  }

  /** The lines of the meta log, while no server runs. */
  lines(): Promise<Line[]> {
    return withOfflineAccess(this.path, async ({ log }) =>
      linesOf(await log.readIntegrated(0, log.integrated.size)),
    )
  }

  read(file: string): string {
    return readFileSync(join(this.path, file), 'utf8')
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.path, file), text)
  }
}

export async function makeKey(
  url: string,
  by: string,
  role: string,
  logs: '*' | string[] = '*',
): Promise<MadeKey> {
  const body = JSON.stringify({ role, logs })
  const answer = await fetch(`${url}/v1/keys`, { method: 'POST', headers: bearer(by), body })
  if (answer.status !== 201)
    throw new Error(`making a key: expected 201, got ${answer.status}: ${await answer.text()}`)
  return (await answer.json()) as MadeKey
}

export const bearer = (key: string): { authorization: string } => ({ authorization: `Bearer ${key}` })
