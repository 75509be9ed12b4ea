import { SteleError } from '../errors.ts'
import type { FinalMark, SignedHead } from './head.ts'

/** How a log ends. */
export interface LastWords {
  /** URL of the log that goes on in its place: http or https. */
  readonly successor?: string | undefined
  /** Committed together with the mark that nothing follows: 0 to 65,535 bytes. */
  readonly lastEntry?: Uint8Array | undefined
}

/** A log that is about to end, while what was admitted is committed. */
export interface Ending {
  readonly mark: FinalMark
  readonly lastEntry: Uint8Array | undefined
  readonly done: Promise<SignedHead>
  resolve(head: SignedHead): void
  reject(reason: SteleError): void
}

/** An ending that somebody asked for. */
export function endingOf({ successor, lastEntry }: LastWords): Ending {
  const { promise, resolve, reject } = deferred<SignedHead>()
  return { mark: finalMark(successor), lastEntry, done: promise, resolve, reject }
}

/**
 * Says whether a log that is frozen already has to be marked anew.
 *
 * @throws SteleError `already_exists` if what is asked for is not how it ended
 */
export function isFurtherMark(current: FinalMark, { successor, lastEntry }: LastWords): boolean {
  if (lastEntry !== undefined) throw already('it is frozen already, and nothing can follow')
  if (successor === undefined || successor === current.successor) return false
  if (current.successor !== undefined)
    throw already(`it is frozen already, with the successor ${current.successor}`)
  return true
}

/**
 * A URL that can stand in a header as it is.
 *
 * @throws SteleError `usage`
 */
export function finalMark(successor: string | undefined): FinalMark {
  if (successor === undefined) return {}
  const isUrl =
    URL.canParse(successor) && /^https?:\/\/[!-;=?-~]+$/.test(successor) && successor.length <= MAX_URL
  if (isUrl) return { successor }
  throw new SteleError(
    'usage',
    `successor: expected an http(s) URL in ASCII of at most ${MAX_URL} characters`,
  )
}

const MAX_URL = 2000

export function already(message: string): SteleError {
  return new SteleError('already_exists', `freeze: ${message}; nothing was changed`)
}

function deferred<T>(): {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (reason: unknown) => void
} {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
