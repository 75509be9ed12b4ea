import { onTestFinished } from 'vitest'
import { createLog, initDataFolder, logFiles, type LogFiles } from '../../src/instance/data-folder.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import type { Log } from '../../src/log/log.ts'
import { Host, type HostEvents, type HostOptions } from '../../src/instance/host.ts'
import { testFolder } from '../support/folder.ts'
import { SETTINGS } from './settings.ts'

export { SETTINGS }

/** Opens the logs of a folder until the test has finished. */
export async function openHost(folder: string, { events, ...options }: HostInTest): Promise<Host> {
  const host = await Host.open({
    folder,
    settings: SETTINGS,
    reopenAfterMs: 1000,
    reopenAtMostMs: 1000,
    openWithinMs: 10_000,
    openWrites: true,
    events: { opened() {}, failed() {}, witnessFailed() {}, publishedWithoutQuorum() {}, ...events },
    ...options,
  })
  onTestFinished(() => host.close())
  return host
}

interface HostInTest extends Partial<Omit<HostOptions, 'events'>> {
  readonly events: Partial<HostEvents>
}

/** A data folder with one log, on a real disk. */
export class StoredLog {
  readonly folder: string
  readonly files: LogFiles
  readonly name = 'main'

  private constructor(folder: string) {
    this.folder = folder
    this.files = logFiles(folder, this.name)
  }

  static async create(allowDuplicates = false): Promise<StoredLog> {
    const folder = `${testFolder()}/data`
    await initDataFolder(folder)
    await createLog(folder, { name: 'main', origin: 'log.example/main', allowDuplicates, reads: 'public' })
    return new StoredLog(folder)
  }

  /** A log whose write-ahead log holds 40 commits, the last thing that was done with it. */
  static async withCommits(): Promise<StoredLog> {
    const stored = await StoredLog.create()
    await stored.append(texts(0, 40), 1)
    return stored
  }

  open(): Promise<Log> {
    return openStoredLog(this.folder, this.name, SETTINGS)
  }

  /** Opens, appends texts in batches of the given size, and closes. */
  async append(texts: readonly string[], batch = texts.length): Promise<void> {
    const log = await this.open()
    for (let at = 0; at < texts.length; at += batch) {
      await log.append(texts.slice(at, at + batch).map((text) => new TextEncoder().encode(text)))
    }
    await log.close()
  }

  get head(): string {
    return `${this.files.folder}/head`
  }
}

export const texts = (begin: number, end: number): string[] =>
  Array.from({ length: end - begin }, (_, i) => `entry ${begin + i} ${'.'.repeat((begin + i) % 50)}`)
