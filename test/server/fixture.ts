import { createLog, initDataFolder, logFiles, type LogFiles } from '../../src/server/data-folder.ts'
import { openStoredLog } from '../../src/server/open-log.ts'
import type { Log } from '../../src/log/log.ts'
import { testFolder } from '../support/folder.ts'
import { SETTINGS } from './settings.ts'

export { SETTINGS }

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
    await createLog(folder, { name: 'main', origin: 'log.example/main', allowDuplicates })
    return new StoredLog(folder)
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
