// Data folders to measure with, and what they weigh.
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { initAccess } from '../../../dist/instance/access-files.js'
import { createLog, initDataFolder } from '../../../dist/instance/data-folder.js'
import { withOfflineAccess } from '../../../dist/server/offline.js'
import { runProcess } from './children.mjs'

/** A fresh data folder with logs of these names in it, all empty. Deduplication is on. */
export async function newDataFolder(parent, ...names) {
  const data = join(await mkdtemp(join(parent, 'data-')), 'stele')
  await initDataFolder(data)
  for (const name of names) {
    await createLog(data, { name, origin: `bench.example/${name}`, allowDuplicates: false, reads: 'public' })
  }
  return data
}

/** Gives a data folder keys and a meta log. @returns {Promise<string>} a key that may append to all its logs */
export async function withAccess(data) {
  await initAccess(data, 'bench.example/meta')
  const wanted = { role: 'writer', logs: '*', label: 'bench' }
  const maker = { id: 'bench', grants: 'host' }
  return withOfflineAccess(data, async ({ keyring }) => (await keyring.create(maker, wanted)).key)
}

/**
 * Folders and logs of one run, all below one folder that is removed at the end. Owner of the large logs, which are
 * made once and read by several measurements.
 */
export class Workspace {
  #folder
  #logs = new Map()

  static async make(parent) {
    await mkdir(parent, { recursive: true })
    return new Workspace(await mkdtemp(join(parent, 'stele-bench-')))
  }

  constructor(folder) {
    this.#folder = folder
  }

  get folder() {
    return this.#folder
  }

  /** A data folder of one's own. */
  dataFolder(...names) {
    return newDataFolder(this.#folder, ...names)
  }

  /** An empty folder of one's own. */
  emptyFolder() {
    return mkdtemp(join(this.#folder, 'raw-'))
  }

  /**
   * A data folder with a log `main` of this many entries, made of the seed "log". To be read, not appended to, unless
   * one says so with `spoil`.
   */
  async logOf(size, onProgress) {
    if (!this.#logs.has(size)) {
      const data = await this.dataFolder('main')
      await runProcess('append', { data, entries: size, batch: 1000, inFlight: 4, seed: 'log' }, onProgress)
      this.#logs.set(size, data)
    }
    return this.#logs.get(size)
  }

  /** Keeps a log that some measurement has made as the one of this size. */
  async keepLog(size, data) {
    if (this.#logs.has(size)) await this.remove(data)
    else this.#logs.set(size, data)
  }

  /** Takes a log for appending to it: whoever asks for this size later gets a new one. */
  spoil(size) {
    this.#logs.delete(size)
  }

  remove(folder) {
    return rm(folder, { recursive: true, force: true })
  }

  removeAll() {
    return this.remove(this.#folder)
  }
}

/** Bytes that the files of a folder occupy on disk. */
export async function bytesOnDisk(folder) {
  let bytes = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath ?? entry.path, entry.name))).blocks * 512
  }
  return bytes
}
