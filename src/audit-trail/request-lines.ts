import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Caller } from '../access/caller.ts'
import type { Exchange } from '../http/exchange.ts'
import { lengthOf, logOf, rolesOf, routeOf, shownTarget } from './meta-words.ts'

/** Who asked for what. */
interface Question {
  readonly kind: 'request'
  /** Key id, or how `access/person.ts` calls a person. */
  readonly who: string
  readonly role: string
  readonly route: string
  readonly log?: string
  /** The request's target as it came but for secrets, cut after 512 characters, and SHA-256 of all of it. */
  readonly query: string
  readonly queryHash: string
}

/** What came of it. */
interface Outcome {
  readonly status: number
  readonly code?: string
  readonly count?: number
  /** Of new entries: the index of the first, and how many. */
  readonly index?: number
  readonly entries?: number
  readonly bytes: number
  readonly address: string
  readonly tookMs: number
  /** As in the answer, and in the server's own log. */
  readonly requestId: string
}

/** What a known caller did, and what came of it. */
export type RequestLine = Question & Outcome

/** Questions that are remembered, and how long the target of such a one is at most. */
const MOST_QUESTIONS = 1000
const LONGEST_TARGET = 512

/**
 * What is written of requests by those who are known. Writers ask the same of the same log all day long, so the texts of
 * the latest questions are kept: finding secrets, hashing and quoting anew would be half of what a line costs.
 */
export class RequestLines {
  readonly #questions = new LRUCache<string, string>({ max: MOST_QUESTIONS })

  /** A {@link RequestLine} as JSON, without the brace that begins it. */
  textOf(exchange: Exchange, caller: Caller): string {
    return `${this.#questionOf(exchange, caller)},${JSON.stringify(outcomeOf(exchange)).slice(1)}`
  }

  #questionOf(exchange: Exchange, caller: Caller): string {
    const { id: who } = caller
    const role = rolesOf(caller)
    const route = routeOf(exchange)
    const url = exchange.call.req.url ?? ''
    // A person may be called anything, and nothing else here can hold a space: read from its end, it has one meaning.
    const key = `${who} ${role} ${route} ${url}`
    const known = this.#questions.get(key)
    if (known !== undefined) return known
    const log = logOf(exchange.call)
    const question: Question = {
      kind: 'request',
      who,
      role,
      route,
      ...(log === undefined ? {} : { log }),
      query: shownTarget(url),
      queryHash: hash('sha256', url, 'hex'),
    }
    const text = JSON.stringify(question).slice(1, -1)
    if (url.length <= LONGEST_TARGET) this.#questions.set(key, text)
    return text
  }
}

function outcomeOf({ answer, error, address, tookMs, requestId }: Exchange): Outcome {
  return {
    status: answer.status,
    ...(error ? { code: error.code } : {}),
    ...(answer.count === undefined ? {} : { count: answer.count }),
    ...answer.placed,
    bytes: lengthOf(answer.body),
    address,
    tookMs: Math.round(tookMs * 100) / 100,
    requestId,
  }
}
