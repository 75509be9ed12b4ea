import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

interface File {
  /** What a power cut leaves of it. */
  durable: Buffer
  /** Written since the last sync, [begin, end). */
  dirty: [number, number][]
}

/** A name that was made, moved or removed, and how it is without that. */
interface NameChange {
  readonly folder: string
  undo(): void
}

/**
 * What of the files is only in memory: bytes until their file is synced, names until their folder is. As Linux has it, a sync
 * that fails leaves bytes that no later sync writes.
 */
export class PageCache {
  readonly #files = new Map<string, File>()
  #names: NameChange[] = []
  readonly #folder: string
  readonly #quietly: <T>(look: () => T) => T

  /**
   * @param folder all else is none of its business
   * @param quietly looks at files without that being counted
   */
  constructor(folder: string, quietly: <T>(look: () => T) => T) {
    this.#folder = folder
    this.#quietly = quietly
  }

  async writing<T>(path: string, position: number, count: number, write: () => Promise<T>): Promise<T> {
    if (!path.startsWith(this.#folder)) return write()
    const file = this.#fileOf(path)
    const written = await write()
    file.dirty.push([position, position + count])
    return written
  }

  created(path: string): void {
    if (!path.startsWith(this.#folder)) return
    this.#files.set(path, { durable: Buffer.alloc(0), dirty: [] })
    this.#names.push({ folder: dirname(path), undo: () => rmSync(path, { force: true }) })
  }

  truncating(path: string): void {
    if (path.startsWith(this.#folder)) this.#fileOf(path)
  }

  synced(path: string): void {
    this.#names = this.#names.filter(({ folder }) => folder !== path)
    const file = this.#files.get(path)
    const now = file && this.#read(path)
    if (!file || !now) return
    for (const [begin, end] of file.dirty) {
      const durable = Buffer.alloc(Math.max(file.durable.length, Math.min(end, now.length)))
      file.durable.copy(durable)
      now.copy(durable, begin, begin, end)
      file.durable = durable
    }
    file.dirty = []
  }

  notSynced(path: string): void {
    const file = this.#files.get(path)
    if (file) file.dirty = []
  }

  async renaming(from: string, to: string, rename: () => Promise<void>): Promise<void> {
    if (!to.startsWith(this.#folder)) return rename()
    const before = this.#read(to)
    await rename()
    for (const [path, file] of this.#files) {
      if (path !== from && !path.startsWith(`${from}/`)) continue
      this.#files.delete(path)
      this.#files.set(to + path.slice(from.length), file)
    }
    const mode = before && statSync(to).mode
    const undo = (): void => {
      if (!existsSync(to)) return
      renameSync(to, from)
      if (before) writeFileSync(to, before, { mode: mode! })
    }
    this.#names.push({ folder: dirname(to), undo })
  }

  async removing(path: string, remove: () => Promise<void>): Promise<void> {
    if (!path.startsWith(this.#folder)) return remove()
    const before = this.#read(path)
    await remove()
    for (const name of this.#files.keys()) {
      if (name === path || name.startsWith(`${path}/`)) this.#files.delete(name)
    }
    if (before) this.#names.push({ folder: dirname(path), undo: () => writeFileSync(path, before) })
  }

  /** Everything that was not synced is as it was before. */
  cutPower(): void {
    for (const [path, { durable }] of this.#files) {
      if (existsSync(path)) writeFileSync(path, durable)
    }
    for (const { undo } of this.#names.reverse()) undo()
    this.forget()
  }

  /** For another set of files. */
  forget(): void {
    this.#files.clear()
    this.#names = []
  }

  #fileOf(path: string): File {
    const known = this.#files.get(path)
    if (known) return known
    const file: File = { durable: this.#read(path) ?? Buffer.alloc(0), dirty: [] }
    this.#files.set(path, file)
    return file
  }

  #read(path: string): Buffer | undefined {
    return this.#quietly(() => (existsSync(path) && statSync(path).isFile() ? readFileSync(path) : undefined))
  }
}
