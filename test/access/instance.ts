import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import type { Role } from '../../src/access/role.ts'
import { loadConfig } from '../../src/config/config.ts'
import { withOfflineAccess } from '../../src/server/offline.ts'
import { startServer, type RunningServer } from '../../src/server/start.ts'
import { makeInstanceFolder } from '../support/instance-folder.ts'

export interface Told {
  readonly status: number
  readonly body: Record<string, unknown>
}

/** A data folder with access control and a log "main", served or not. */
export class Instance {
  readonly folder: string
  readonly provisioning: string
  #server: RunningServer | undefined

  private constructor(folder: string, provisioning: string) {
    this.folder = folder
    this.provisioning = provisioning
  }

  static async make(): Promise<Instance> {
    const { data, provisioning } = await makeInstanceFolder(['main'], ['hidden'])
    return new Instance(data, provisioning)
  }

  static async started(): Promise<Instance> {
    const instance = await Instance.make()
    await instance.start()
    return instance
  }

  get server(): RunningServer {
    return this.#server!
  }

  get url(): string {
    return this.server.url
  }

  async start(): Promise<void> {
    const config = loadConfig({ flags: { data: this.folder, port: 0, 'log-level': 'silent' } })
    this.#server = await startServer(config, pino({ level: 'silent' }))
    onTestFinished(() => this.stop())
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    await server?.close()
  }

  async ask(method: string, path: string, key?: string, body?: unknown): Promise<Told> {
    const answer = await fetch(this.url + path, {
      method,
      headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await answer.text()
    const isJson = answer.headers.get('content-type')?.includes('json') ?? false
    return { status: answer.status, body: isJson ? (JSON.parse(text) as Told['body']) : { text } }
  }

  /** As whoever holds the provisioning key. */
  manage(path: string, body?: unknown): Promise<Told> {
    return this.ask('POST', path, this.provisioning, body)
  }

  async key(role: Role, logs: '*' | string[] = '*'): Promise<string> {
    return String((await this.manage('/v1/keys', { role, logs })).body['key'])
  }

  /** The lines of the meta log of a stopped instance. */
  lines(kind: string): Promise<Record<string, unknown>[]> {
    return withOfflineAccess(this.folder, async ({ log }) => {
      const pages = await log.readEntries(0, log.published.size)
      return pages
        .flatMap((page) => new TextDecoder().decode(page).trim().split('\n'))
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((line) => line['kind'] === kind)
    })
  }

  /** Starts and stops, and gives what this start found changed. */
  async changedAtStart(): Promise<unknown> {
    await this.start()
    await this.stop()
    return (await this.lines('start')).at(-1)!['changed']
  }
}
