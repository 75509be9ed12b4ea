import type { ScrubFinding } from './scrub-finding.ts'

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
