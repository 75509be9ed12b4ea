import { AsyncLocalStorage } from 'node:async_hooks'
import fs from 'node:fs'
import fsp, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { Level } from 'level'
import { PageCache } from './page-cache.ts'

/**
 * What becomes of one operation. An error code: it fails with it and does nothing. `short`: half of the bytes are written,
 * and that is said. `done`: it is done, and reported as failed. `hang`: it never comes back. `kill`: the process ends
 * ahead of it, and what was written before is seen by the next one. `power cut`: so does the machine, and only what was
 * synced is.
 */
export type Effect = 'EIO' | 'ENOSPC' | 'EACCES' | 'EMFILE' | 'short' | 'done' | 'hang' | 'kill' | 'power cut'

export interface Operation {
  readonly call: string
  readonly path: string
}

export interface Fault {
  /** Which operation, counted from 0. */
  readonly at: number
  readonly effect: Effect
}

/** How a scenario came to its end. */
export type End = 'done' | 'failed' | 'stuck' | 'endless' | 'killed'

const ENDINGS: ReadonlySet<Effect> = new Set<Effect>(['kill', 'power cut'])
const READS: readonly Effect[] = ['EIO', 'EACCES', 'EMFILE', 'kill']
const NAMES: readonly Effect[] = ['EIO', 'ENOSPC', 'EACCES', 'done', 'hang', 'kill', 'power cut']

/** What can become of an operation of each kind. */
const EFFECTS: Readonly<Record<string, readonly Effect[]>> = {
  open: ['EIO', 'EMFILE', 'EACCES', 'kill'],
  write: ['EIO', 'ENOSPC', 'short', 'done', 'hang', 'kill', 'power cut'],
  sync: ['EIO', 'done', 'hang', 'kill', 'power cut'],
  read: READS,
  readFile: READS,
  readdir: READS,
  stat: READS,
  openSync: ['EIO', 'EMFILE', 'EACCES'],
  mkdir: NAMES,
  rename: NAMES,
  rm: NAMES,
  link: ['EIO', 'EMFILE', 'kill'],
  copyFile: ['EIO', 'ENOSPC', 'kill'],
  'level open': ['EIO', 'EMFILE', 'kill'],
  'level read': ['EIO', 'kill'],
  'level write': ['EIO', 'done', 'hang', 'kill', 'power cut'],
}

/** What can become of this operation. */
export function effectsOf({ call }: Operation): readonly Effect[] {
  return EFFECTS[call]!
}

/** Nothing has begun for so long behind an operation that hangs: all that is left waits for it. */
const QUIET_MS = 60
/** A scenario in which nothing happens for so long waits for something that never comes. */
const ENDLESS_MS = 20_000

/** One process, as far as the disk knows: from its first operation to its end. */
class Run {
  readonly operations: Operation[] = []
  readonly fault: Fault | undefined
  happened = false
  /** Ended: nothing that it began goes on. */
  dead = false
  stuck = false
  /** Nobody waits for it any more. */
  ended = false
  onDead = (): void => {}
  readonly inFlight = new Set<Promise<unknown>>()
  readonly handles = new Set<() => Promise<void>>()
  readonly iterators = new Set<Inside>()
  readonly databases = new Set<Level>()
  readonly broken = new WeakSet<Level>()

  constructor(fault: Fault | undefined) {
    this.fault = fault
  }

  /** What comes of it once the process has ended is told to nobody. */
  tracked<T>(real: Promise<T>): Promise<T> {
    this.inFlight.add(real)
    return new Promise((resolve, reject) => {
      const settled = (tell: () => void): void => {
        this.inFlight.delete(real)
        if (!this.dead) tell()
      }
      real.then(
        (result) => settled(() => resolve(result)),
        (error: Error) => settled(() => reject(error)),
      )
    })
  }

  /** @returns `stuck` behind an operation that hangs, `endless` where nothing goes on and nothing hangs */
  async whenStuck(): Promise<'stuck' | 'endless'> {
    for (let seen = -1, quietMs = 0; !this.ended; quietMs += QUIET_MS) {
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS))
      if (seen !== this.operations.length) quietMs = 0
      else if (this.stuck && this.inFlight.size === 0) return 'stuck'
      else if (quietMs > ENDLESS_MS) return 'endless'
      seen = this.operations.length
    }
    return 'endless'
  }
}

/**
 * The disk of this process, as far as it lies below one folder: counts all file operations of `node:fs/promises`, of file
 * handles and of LevelDB, and lets one of them fail. It stands below the program, which knows nothing of it. LevelDB's own
 * files are beneath it: what a database wrote with `sync` is taken to be on disk.
 */
export class FaultyDisk {
  readonly pages: PageCache
  readonly #folder: string
  /** Whose operation it is: what a run began that was killed must not go on in the next one. */
  readonly #runs = new AsyncLocalStorage<Run>()
  readonly #restore: (() => void)[] = []

  constructor(folder: string) {
    this.#folder = folder
    this.pages = new PageCache(folder, (look) => this.#runs.exit(look))
    this.#patchFiles()
    this.#patchHandles(this)
    this.#patchLevel(this)
    syncBuiltinESMExports()
  }

  /** Puts `node:fs` and LevelDB back as they were. */
  remove(): void {
    for (const restore of this.#restore.reverse()) restore()
    syncBuiltinESMExports()
  }

  /** Runs a scenario with one fault. What it still has open at its end is closed as the system does it for a process. */
  async run(
    scenario: () => Promise<void>,
    fault?: Fault,
  ): Promise<{ end: End; error?: unknown; happened: boolean; operations: readonly Operation[] }> {
    const run = new Run(fault)
    const dead = new Promise<'killed'>((resolve) => (run.onDead = () => resolve('killed')))
    let error: unknown
    const ended = this.#runs.run(run, scenario).then(
      () => 'done' as const,
      (reason: unknown) => {
        error = reason
        return 'failed' as const
      },
    )
    const end = await Promise.race([ended, dead, run.whenStuck()])
    run.ended = true
    await this.#kill(run)
    if (fault?.effect === 'power cut' && run.happened) this.pages.cutPower()
    const { happened, operations } = run
    return { end, happened, operations, ...(error === undefined ? {} : { error }) }
  }

  async #kill(run: Run): Promise<void> {
    run.dead = true
    while (run.inFlight.size > 0) await Promise.allSettled(run.inFlight)
    for (const { _close: closeIterator } of run.iterators) await closeIterator()
    for (const database of run.databases) await closeLevel.call(database)
    for (const close of run.handles) await close()
  }

  /** @param short writes a part, and says so */
  async #operate<T>(
    call: string,
    path: string,
    real: () => Promise<T>,
    short?: () => Promise<T>,
  ): Promise<T> {
    const run = this.#runs.getStore()
    if (!run || !path.startsWith(this.#folder)) return real()
    if (run.dead) return never()
    const at = run.operations.push({ call, path }) - 1
    if (at !== run.fault?.at) return run.tracked(real())
    run.happened = true
    const { effect } = run.fault
    if (ENDINGS.has(effect)) {
      run.dead = true
      run.onDead()
      return never()
    }
    if (effect === 'hang') {
      run.stuck = true
      return never()
    }
    if (effect === 'short' && short) return run.tracked(short())
    if (effect === 'done') await run.tracked(real())
    throw failure(effect === 'done' || effect === 'short' ? 'EIO' : effect, call, path)
  }

  /** What is not counted, but must not go on after its process. */
  #uncounted<T>(real: () => Promise<T>): Promise<T> {
    const run = this.#runs.getStore()
    if (!run) return real()
    return run.dead ? never() : run.tracked(real())
  }

  #patchFiles(): void {
    const { open, readFile, readdir, stat, mkdir, rename, rm, link, copyFile } = fsp
    const { pages } = this
    const simple = { readFile, readdir, stat, mkdir, link, copyFile } as const
    for (const [call, real] of Object.entries(simple) as [keyof typeof simple, Call][]) {
      this.#replace(fsp, call, (path: string, ...rest: unknown[]) =>
        this.#operate(call, path, () => real(path, ...rest)),
      )
    }
    this.#replace(fsp, 'open', (path: string, flags?: string | number, mode?: number) =>
      this.#operate('open', path, async () => {
        const existed = fs.existsSync(path)
        if (existed && typeof flags === 'string' && flags.startsWith('w')) pages.truncating(path)
        const handle = await open(path, flags, mode)
        handlePaths.set(handle, path)
        this.#closedByRun(handle)
        if (!existed) pages.created(path)
        return handle
      }),
    )
    this.#replace(fsp, 'rename', (from: string, to: string) =>
      this.#operate('rename', from, () => pages.renaming(from, to, () => rename(from, to))),
    )
    this.#replace(fsp, 'rm', (path: string, options?: fs.RmOptions) =>
      this.#operate('rm', path, () => pages.removing(path, () => rm(path, options))),
    )
    // In its parts, as the system sees it.
    this.#replace(
      fsp,
      'writeFile',
      async (path: string, content: string | Uint8Array, options: WriteOptions = {}) => {
        const handle = await fsp.open(path, options.flag ?? 'w', options.mode)
        try {
          const bytes = Buffer.from(content as Uint8Array)
          for (let at = 0; at < bytes.length;)
            at += (await handle.write(bytes, at, bytes.length - at, at)).bytesWritten
          if (options.flush) await handle.sync()
        } finally {
          await handle.close()
        }
      },
    )
    const { openSync } = fs
    this.#replace(fs, 'openSync', (path: string, flags: string, mode?: number) => {
      const run = this.#runs.getStore()
      if (run && path.startsWith(this.#folder)) {
        const at = run.operations.push({ call: 'openSync', path }) - 1
        if (at === run.fault?.at) {
          run.happened = true
          throw failure(run.fault.effect, 'open', path)
        }
      }
      return openSync(path, flags, mode)
    })
  }

  /** A process that is killed has its files closed by the system. */
  #closedByRun(handle: FileHandle): void {
    const run = this.#runs.getStore()
    if (!run) return
    // An own property of each handle, not one of the prototype.
    const close = handle.close.bind(handle)
    const closed = (): Promise<void> => close().finally(() => run.handles.delete(closed))
    run.handles.add(closed)
    handle.close = () => (run.dead ? never() : closed())
  }

  #patchHandles(disk: this): void {
    const prototype = handlePrototype()
    const { read, write, sync, datasync, readFile, truncate } = prototype
    const { pages } = this
    const on = (call: string, name: keyof FileHandle, real: Call): void =>
      this.#replace(prototype, name, function (this: FileHandle, ...args: unknown[]) {
        return disk.#operate(call, handlePaths.get(this) ?? '', () => real.apply(this, args))
      })
    on('read', 'read', read as Call)
    on('read', 'readFile', readFile as Call)
    on('write', 'truncate', truncate as Call)
    for (const [name, real] of [
      ['sync', sync],
      ['datasync', datasync],
    ] as const) {
      this.#replace(prototype, name, function (this: FileHandle) {
        const path = handlePaths.get(this) ?? ''
        const failing = (error: unknown): never => {
          pages.notSynced(path)
          throw error
        }
        return disk
          .#operate('sync', path, () => real.call(this).then(() => pages.synced(path)))
          .catch(failing)
      })
    }
    this.#replace(
      prototype,
      'write',
      function (
        this: FileHandle,
        bytes: Uint8Array,
        offset = 0,
        length = bytes.length - offset,
        position?: number | null,
      ) {
        const path = handlePaths.get(this) ?? ''
        const writing = (count: number): ReturnType<Call> =>
          pages.writing(path, position ?? 0, count, () =>
            (write as Call).call(this, bytes, offset, count, position),
          )
        return disk.#operate(
          'write',
          path,
          () => writing(length),
          () => writing(Math.floor(length / 2)),
        )
      },
    )
  }

  #patchLevel(disk: this): void {
    const prototype = Level.prototype as unknown as LevelInside
    const { _open, _close, _get, _getMany, _put, _batch, _chainedBatch, _iterator } = prototype
    const reading = (name: '_get' | '_getMany', real: Call): void =>
      this.#replace(prototype, name, function (this: Level, ...args: unknown[]) {
        return disk.#operate('level read', this.location, () => real.apply(this, args))
      })
    const writing = (name: '_put' | '_batch', real: Call): void =>
      this.#replace(prototype, name, function (this: Level, ...args: unknown[]) {
        return disk.#writeLevel(this, () => real.apply(this, args))
      })
    this.#replace(prototype, '_open', function (this: Level, ...args: unknown[]) {
      return disk.#operate('level open', this.location, async () => {
        // It makes its folder with what stands here.
        await disk.#runs.exit(() => _open.apply(this, args))
        disk.#runs.getStore()?.databases.add(this)
      })
    })
    this.#replace(prototype, '_close', function (this: Level) {
      const run = disk.#runs.getStore()
      if (run?.dead) return never()
      run?.databases.delete(this)
      return _close.call(this)
    })
    this.#replace(prototype, '_iterator', function (this: Level, ...args: unknown[]) {
      const iterator = _iterator.apply(this, args) as unknown as Inside
      const run = disk.#runs.getStore()
      const { _next, _nextv, _close: close } = iterator
      if (!run) return iterator
      const inside: Inside = {
        _next: (...rest) => disk.#uncounted(() => _next.apply(iterator, rest)),
        _nextv: (...rest) => disk.#uncounted(() => _nextv.apply(iterator, rest)),
        _close: () => disk.#uncounted(() => close.call(iterator).finally(() => run.iterators.delete(open))),
      }
      const open: Inside = { ...inside, _close: () => close.call(iterator) }
      run.iterators.add(open)
      return Object.assign(iterator, inside)
    })
    reading('_get', _get)
    reading('_getMany', _getMany)
    writing('_put', _put)
    writing('_batch', _batch)
    this.#replace(prototype, '_chainedBatch', function (this: Level) {
      const batch = _chainedBatch.call(this) as unknown as Record<'_write', Call>
      const { _write: write } = batch
      return Object.assign(batch, {
        _write: (...rest: unknown[]) => disk.#writeLevel(this, () => write.apply(batch, rest)),
      })
    })
  }

  /** LevelDB takes no write after one that failed. */
  async #writeLevel(database: Level, real: () => Promise<unknown>): Promise<unknown> {
    const broken = this.#runs.getStore()?.broken
    if (broken?.has(database)) throw failure('EIO', 'write', database.location)
    try {
      return await this.#operate('level write', database.location, real)
    } catch (error) {
      broken?.add(database)
      throw error
    }
  }

  #replace<T extends object>(object: T, name: keyof T, replacement: unknown): void {
    const before = object[name]
    this.#restore.push(() => (object[name] = before))
    object[name] = replacement as T[keyof T]
  }
}

type Call = (...args: unknown[]) => Promise<unknown>
type LevelInside = Record<
  '_open' | '_close' | '_get' | '_getMany' | '_put' | '_batch' | '_chainedBatch' | '_iterator',
  Call
>
/** An iterator of LevelDB, from within. */
type Inside = Record<'_next' | '_nextv' | '_close', Call>
interface WriteOptions {
  readonly flag?: string
  readonly mode?: number
  readonly flush?: boolean
}

const { _close: closeLevel } = Level.prototype as unknown as LevelInside
const handlePaths = new WeakMap<FileHandle, string>()
const probe = await fsp.open(new URL(import.meta.url).pathname)
await probe.close()

function handlePrototype(): FileHandle {
  return Object.getPrototypeOf(probe) as FileHandle
}

function never<T>(): Promise<T> {
  return new Promise(() => {})
}

function failure(effect: string, call: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${effect}: injected into ${call} of ${path}`), {
    code: effect,
    syscall: call,
  })
}
