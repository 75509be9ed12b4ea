import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { redact } from '../access/redact.ts'

/** Of a request's target, this many characters are shown; the hash is of all of them. */
const SHOWN_LENGTH = 512
/** Targets that are remembered; longer ones are not. */
const MOST_TARGETS = 1000

/** A request's target as the meta log says it. */
export interface WrittenTarget {
  /** As it came but for secrets, cut after 512 characters. */
  readonly query: string
  /** SHA-256 of all of it, hex. */
  readonly queryHash: string
}

/**
 * How targets are written down. Writers send all they have to one URL, so the forms of the latest are kept: hashing and
 * looking for secrets anew would be a tenth of what a line costs.
 */
export class WrittenTargets {
  readonly #known = new LRUCache<string, WrittenTarget>({ max: MOST_TARGETS })

  of(url: string): WrittenTarget {
    const known = this.#known.get(url)
    if (known) return known
    const written = { query: shownTarget(url), queryHash: hash('sha256', url, 'hex') }
    if (url.length <= SHOWN_LENGTH) this.#known.set(url, written)
    return written
  }
}

/** A target without its secrets, and not too long. */
export function shownTarget(url: string): string {
  return redact(url).slice(0, SHOWN_LENGTH)
}
