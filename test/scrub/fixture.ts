import { onTestFinished } from 'vitest'
import type { Log } from '../../src/log/log.ts'
import { type ScrubClock, type ScrubStatus, ScrubTurns } from '../../src/scrub/scrub-options.ts'
import type { ScrubFile, ScrubPass } from '../../src/scrub/scrub-cursor.ts'
import type { ScrubFinding } from '../../src/scrub/scrub-finding.ts'
import type { StoredParts } from '../../src/log/options.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'
import type { Inspected, StoredId } from '../../src/storage/store.ts'
import type { SteleError } from '../../src/errors.ts'

/** Sleeping moves this clock, and nothing else does. */
export class SleepClock implements ScrubClock {
  ms = 1_700_000_000_000
  sleeps = 0
  /** Sleeps that do not end by themselves. */
  #holding = false
  #held: (() => void)[] = []

  nowMs(): number {
    return this.ms
  }

  /** From the next sleep on, nobody wakes up but by being stopped. */
  hold(): void {
    this.#holding = true
  }

  release(): void {
    this.#holding = false
    for (const wake of this.#held.splice(0)) wake()
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    this.sleeps++
    this.ms += ms
    if (this.#holding && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#held.push(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

export class MemoryCursor implements ScrubFile {
  bytes: Uint8Array | undefined

  async read(): Promise<Uint8Array | undefined> {
    return this.bytes
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.bytes = bytes
  }
}

const keyOf = (id: StoredId): string =>
  id.kind === 'tile'
    ? `tile ${id.level}/${id.index}`
    : id.kind === 'entry'
      ? `entry ${id.index}`
      : `head of size ${id.size}`

/** Stands before a store under a running log: a disk that rots, and one that cannot be read. */
export class Rot {
  readonly #instead = new Map<string, (stored: Inspected) => Inspected>()
  /** Reads that are going to fail, and how many did. */
  failing = 0
  failed = 0
  reads: string[] = []
  /** The most places of one call, and the most calls under way together. */
  mostAtOnce = 0
  callsAtOnce = 0
  #calls = 0

  change(place: string, rot: (stored: Inspected) => Inspected): void {
    this.#instead.set(place, rot)
  }

  flip(place: string, at = 0): void {
    this.change(place, (stored) => {
      if (!(stored instanceof Uint8Array)) throw new Error(`nothing is stored as ${place}`)
      const bytes = Uint8Array.from(stored)
      bytes[at]! ^= 1
      return bytes
    })
  }

  heal(): void {
    this.#instead.clear()
  }

  around(store: StoredParts['store'], error: SteleError): StoredParts['store'] {
    return new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target) as unknown
        if (typeof value !== 'function') return value
        if (name !== 'inspect') return value.bind(target) as unknown
        return async (places: readonly StoredId[]) => {
          if (this.failing > 0) {
            this.failing--
            this.failed++
            throw error
          }
          this.mostAtOnce = Math.max(this.mostAtOnce, places.length)
          this.callsAtOnce = Math.max(this.callsAtOnce, ++this.#calls)
          const stored = await target.inspect(places)
          this.#calls--
          this.reads.push(...places.map(keyOf))
          return stored.map(
            (bytes, i) => this.#instead.get(keyOf(places[i]!))?.(bytes) ?? this.#kept(places[i]!, bytes),
          )
        }
      },
    })
  }

  #kept(place: StoredId, bytes: Inspected): Inspected {
    return this.#instead.has(keyOf(place)) ? undefined : bytes
  }
}

/** A scrubber with its ears open. */
export class Scrubbing {
  readonly clock: SleepClock
  readonly scrubber: Scrubber
  readonly found: ScrubFinding[] = []
  readonly cleared: string[] = []
  readonly passes: ScrubPass[] = []
  readonly readErrors: string[] = []
  #heard: () => void = () => {}

  constructor(
    log: Log,
    {
      parts = log.stored,
      cursor = new MemoryCursor(),
      turns = new ScrubTurns(),
      clock = new SleepClock(),
      bytesPerSecond = 1e9,
    }: {
      parts?: StoredParts
      cursor?: ScrubFile
      turns?: ScrubTurns
      clock?: SleepClock
      bytesPerSecond?: number
    } = {},
  ) {
    this.clock = clock
    const heard = (): void => this.#heard()
    this.scrubber = new Scrubber(parts, {
      bytesPerSecond,
      cursor,
      turns,
      clock,
      events: {
        onFinding: (finding) => (this.found.push(finding), heard()),
        onCleared: ({ place }) => (this.cleared.push(place), heard()),
        onPassDone: (pass) => (this.passes.push(pass), heard()),
        onReadError: ({ message }) => (this.readErrors.push(message), heard()),
      },
    })
    onTestFinished(() => this.scrubber.close())
  }

  get status(): ScrubStatus {
    return this.scrubber.status
  }

  get places(): string[] {
    return this.found.map(({ place }) => place)
  }

  /** Resolves as soon as something that was heard makes it true. */
  async until(fact: () => boolean): Promise<void> {
    while (!fact()) await new Promise<void>((resolve) => (this.#heard = resolve))
  }

  passed(count = 1): Promise<void> {
    return this.until(() => this.passes.length >= count)
  }
}
