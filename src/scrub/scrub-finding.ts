import { toHex } from '../bytes/hex.ts'
import { sha256 } from '../merkle/hash.ts'
import type { FileFault, Inspected, StoredId } from '../storage/store.ts'

/** A leaf in the index. */
export interface LeafPlace {
  readonly kind: 'leaf_index'
  readonly index: number
}

/** What a finding is about: something in the database, a leaf in the index, or what cannot be read at all. */
type ScrubPlace =
  | StoredId
  | LeafPlace
  | { readonly kind: 'unreadable'; readonly begin: number; readonly end: number }
  | { readonly kind: 'file'; readonly begin: number; readonly end: number }
  | { readonly kind: 'whole_leaf_index' }

type PlaceInTree = Exclude<ScrubPlace, { readonly kind: 'file' | 'whole_leaf_index' }>

/** One stored thing that is not what it must be. */
export interface ScrubFinding {
  readonly at: ScrubPlace
  /** The same in words, such as `entry 17`, `tile 0/3`, `head of size 12`. */
  readonly place: string
  /** A hash in hex, or words where there is none to name. */
  readonly expected: string
  readonly found: string
  /** The sentence for people. */
  readonly message: string
}

/** Puts a finding into words. */
export function scrubFinding(at: PlaceInTree, expected: string, found: string): ScrubFinding {
  const place = placeInWords(at)
  return { at, place, expected, found, message: `${place}: expected ${expected}, found ${found}` }
}

/** Says of a part of a file of the database that it is not what was written. */
export function fileFinding({ begin, end, place, message }: FileFault): ScrubFinding {
  return { at: { kind: 'file', begin, end }, place, ...NOT_AS_WRITTEN, message }
}

/** The same of a file of the leaf index. */
export function indexFileFinding(place: string, message: string): ScrubFinding {
  return { at: { kind: 'whole_leaf_index' }, place: `leaf index, ${place}`, ...NOT_AS_WRITTEN, message }
}

const NOT_AS_WRITTEN = { expected: 'the bytes that were written', found: 'other bytes, by their checksum' }

/** What stands where something else should, in words. */
export function describeFound(found: Inspected): string {
  if (found === undefined) return 'nothing'
  if (found instanceof Error) return `what cannot be read (${found.message})`
  return `${found.length} bytes with SHA-256 ${toHex(sha256(found))}`
}

function placeInWords(at: PlaceInTree): string {
  switch (at.kind) {
    case 'entry':
      return `entry ${at.index}`
    case 'tile':
      return `tile ${at.level}/${at.index}`
    case 'head':
      return `head of size ${at.size}`
    case 'leaf_index':
      return `leaf index, leaf ${at.index}`
    case 'unreadable':
      return at.begin < at.end ? `entries ${at.begin} to ${at.end - 1}` : `head of size ${at.begin}`
  }
}

/** More are only counted: a disk that is gone altogether must not fill the memory and the log. */
const MOST_KEPT = 100
/** Stretches whose further findings are counted. */
const MOST_COUNTED = 10_000

/** Who is told. */
export interface FindingEvents {
  /** Once for each finding, and again only when what it says has changed. It was verified twice. */
  onFinding?(finding: ScrubFinding): void
  /** A finding is no longer there. */
  onCleared?(finding: ScrubFinding): void
}

/** What is known to be damaged, by stretch. Says each thing once. */
export class KnownFindings {
  readonly #events: FindingEvents
  readonly #byStretch = new Map<number, readonly ScrubFinding[]>()
  #kept = 0
  readonly #unkept = new Map<number, number>()

  constructor(events: FindingEvents) {
    this.#events = events
  }

  /** How much is damaged. */
  get count(): number {
    let count = this.#kept
    for (const unkept of this.#unkept.values()) count += unkept
    return count
  }

  list(): ScrubFinding[] {
    return [...this.#byStretch.values()].flat()
  }

  entries(): [number, readonly ScrubFinding[]][] {
    return [...this.#byStretch]
  }

  stretches(): number[] {
    return [...this.#byStretch.keys()]
  }

  of(stretch: number): readonly ScrubFinding[] {
    return this.#byStretch.get(stretch) ?? []
  }

  has(stretch: number, finding: ScrubFinding): boolean {
    return this.of(stretch).some(({ message }) => message === finding.message)
  }

  /** Takes over what was known before a restart: it was reported then. */
  restore(entries: readonly (readonly [number, readonly ScrubFinding[]])[]): void {
    for (const [stretch, findings] of entries) {
      this.#byStretch.set(stretch, findings)
      this.#kept += findings.length
    }
  }

  /**
   * Says what is damaged in a stretch now: all of it.
   *
   * @returns true if that is not what was known
   */
  settle(stretch: number, findings: readonly ScrubFinding[]): boolean {
    const before = this.of(stretch)
    const room = MOST_KEPT - (this.#kept - before.length)
    const kept = findings.slice(0, Math.max(0, room))
    this.#count(stretch, findings.length - kept.length)
    this.#kept += kept.length - before.length
    if (kept.length > 0) this.#byStretch.set(stretch, kept)
    else this.#byStretch.delete(stretch)
    const fresh = kept.filter((finding) => !includes(before, finding))
    const gone = before.filter((finding) => !includes(kept, finding))
    for (const finding of gone) {
      if (!kept.some(({ place }) => place === finding.place)) this.#events.onCleared?.(finding)
    }
    for (const finding of fresh) this.#events.onFinding?.(finding)
    return fresh.length > 0 || gone.length > 0
  }

  #count(stretch: number, unkept: number): void {
    if (unkept === 0) this.#unkept.delete(stretch)
    else if (this.#unkept.size < MOST_COUNTED || this.#unkept.has(stretch)) this.#unkept.set(stretch, unkept)
  }
}

function includes(list: readonly ScrubFinding[], { message }: ScrubFinding): boolean {
  return list.some((other) => other.message === message)
}
