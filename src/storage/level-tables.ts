import { hasCode, SteleError } from '../errors.ts'
import { readLevelFiles, type LevelFiles, type TableMeta } from './level-files.ts'
import { TableFile, type TableFault } from './level-table.ts'

/**
 * The table files of an open database. Checks each against its checksums before LevelDB reads it for the first time.
 * Does not include files that LevelDB has written since the last listing: their content was in memory a moment ago.
 * Owner of the check results of all files.
 */
export class LevelTables {
  readonly #folder: string
  #files = new Map<number, TableFile>()
  /** Within a run, files do not overlap and are ordered by key. */
  #runs: (readonly TableFile[])[] = []
  /** True once every file was checked and is undamaged. */
  #allGood = false

  constructor(folder: string, files: LevelFiles) {
    this.#folder = folder
    this.#take(files)
  }

  /** Lists the files as they are now. @throws SteleError `corrupt`, `io_error` */
  async refresh(): Promise<void> {
    this.#take(await readLevelFiles(this.#folder))
  }

  /**
   * The fault, if any, that keeps each key from being read. Call this before reading them.
   *
   * @param keys in ascending order, for speed
   * @returns undefined, without a promise, if all files are known to be undamaged
   * @throws SteleError `io_error`
   */
  check(keys: readonly Uint8Array[]): Promise<(TableFault | undefined)[]> | undefined {
    if (this.#allGood) return undefined
    for (const run of this.#runs) {
      let file: TableFile | undefined
      for (const key of keys) {
        if (!file?.holds(key)) file = fileOf(run, key)
        if (file && !file.isGood && file.known(key) !== 'good') return this.#check(keys)
      }
    }
    return undefined
  }

  /** The fault that keeps the newest keys from being read. @throws SteleError `io_error` */
  async checkNewest(): Promise<TableFault | undefined> {
    for (const run of this.#runs) {
      const file = run.at(-1)!
      // A file that LevelDB has merged into others since it was listed has no newest keys any more.
      const fault = await this.#unlessGone(file, () => file.checkLast())
      if (fault) return fault
    }
    return undefined
  }

  /**
   * Reads whole files again: those that begin with a key in [begin, end), and those known to be damaged there.
   *
   * @returns how many bytes were read
   * @throws SteleError `io_error`
   */
  async checkFiles(begin: Uint8Array, end: Uint8Array, between: () => Promise<void>): Promise<number> {
    let bytes = 0
    const isIn = (key: Uint8Array): boolean => Buffer.compare(begin, key) <= 0 && Buffer.compare(key, end) < 0
    for (const file of this.#files.values()) {
      const { smallest } = file.meta
      const concerns = isIn(smallest) || file.faults.some(({ after }) => after && isIn(after))
      if (!concerns) continue
      bytes += (await this.#unlessGone(file, () => file.checkAll(between))) ?? 0
    }
    this.#settle()
    return bytes
  }

  /** Reads the files known to be damaged again. @returns how many bytes were read @throws SteleError `io_error` */
  async checkDamaged(between: () => Promise<void>): Promise<number> {
    let bytes = 0
    for (const file of this.damaged)
      bytes += (await this.#unlessGone(file, () => file.checkAll(between))) ?? 0
    this.#settle()
    return bytes
  }

  /** Reads all files again. @throws SteleError `io_error` */
  async checkAll(onFile: (checked: number, of: number) => Promise<void>): Promise<void> {
    await this.refresh()
    const files = [...this.#files.values()]
    for (const [i, file] of files.entries()) {
      await this.#unlessGone(file, () => file.checkAll(async () => {}))
      await onFile(i + 1, files.length)
    }
    this.#settle()
  }

  /** All known damage, in the order of the keys. */
  get faults(): TableFault[] {
    return this.damaged
      .flatMap(({ faults }) => faults)
      .sort((a, b) => Buffer.compare(firstKey(a), firstKey(b)))
  }

  get damaged(): TableFile[] {
    return [...this.#files.values()].filter(({ faults }) => faults.length > 0)
  }

  async #check(keys: readonly Uint8Array[]): Promise<(TableFault | undefined)[]> {
    const found: (TableFault | undefined)[] = []
    for (const key of keys) found.push(await this.#checkKey(key))
    return found
  }

  async #checkKey(key: Uint8Array): Promise<TableFault | undefined> {
    for (const run of this.#runs) {
      const file = fileOf(run, key)
      if (!file) continue
      const known = file.known(key)
      if (known === 'good') continue
      const fault = known ?? (await this.#unlessGone(file, () => file.check(key)))
      if (fault) return fault
      this.#settle()
    }
    return undefined
  }

  /** Undefined if LevelDB has removed the file since it was listed: its content is in other files. */
  async #unlessGone<T>(file: TableFile, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read()
    } catch (error) {
      const isGone = hasCode(error, 'io_error') && (error.cause as NodeJS.ErrnoException).code === 'ENOENT'
      if (!isGone || !(await this.#isReplaced(file))) throw error
      return undefined
    }
  }

  async #isReplaced(file: TableFile): Promise<boolean> {
    await this.refresh()
    if (!this.#files.has(file.meta.number)) return true
    throw new SteleError('corrupt', `${file.path}: the database needs this file, and it is not there`)
  }

  #take({ tables }: LevelFiles): void {
    const known = this.#files
    this.#files = new Map(
      tables.map((meta) => [meta.number, known.get(meta.number) ?? new TableFile(this.#folder, meta)]),
    )
    this.#runs = runsOf(tables).map((run) => run.map(({ number }) => this.#files.get(number)!))
    this.#settle()
  }

  #settle(): void {
    this.#allGood = [...this.#files.values()].every(({ isGood }) => isGood)
  }
}

/** The first key that a fault may affect. */
export function firstKey({ after, table }: TableFault): Uint8Array {
  return after ?? table.smallest
}

/** The runs of a database: each file of level 0, and each other level as a whole. */
function runsOf(tables: readonly TableMeta[]): TableMeta[][] {
  const levels = new Map<number, TableMeta[]>()
  for (const table of tables) {
    const key = table.level === 0 ? -table.number : table.level
    const run = levels.get(key)
    if (run) run.push(table)
    else levels.set(key, [table])
  }
  return [...levels.values()].map((run) => run.sort((a, b) => Buffer.compare(a.smallest, b.smallest)))
}

/** The only file of a run that may have this key. */
function fileOf(run: readonly TableFile[], key: Uint8Array): TableFile | undefined {
  let low = 0
  let high = run.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (Buffer.compare(run[middle]!.meta.largest, key) < 0) low = middle + 1
    else high = middle
  }
  const file = run[low]
  return file?.holds(key) ? file : undefined
}
