import * as z from 'zod'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { problemAnswer } from './errors.ts'
import { PREFLIGHT_HEADERS } from './headers.ts'
import type { Route } from './route.ts'

/** The 404 route. It has one fixed metric label, so request paths cannot inflate cardinality. */
export function notFound(path: string): Route {
  return {
    ...NOWHERE,
    path: 'none',
    async handle() {
      throw new SteleError('not_found', `no such route: ${excerpt(path)}; /docs lists all of them`)
    },
  }
}

/**
 * The 405 route of a path that exists: names the methods of the path.
 *
 * @param path for metrics
 * @param readable whether pages of other origins may read what the path serves
 */
export function withoutMethod(
  method: string,
  path: string,
  allowed: readonly string[],
  readable: boolean,
): Route {
  const allow = [...allowed, 'OPTIONS'].join(', ')
  return {
    ...NOWHERE,
    method: readable ? 'get' : 'post',
    path,
    async handle() {
      if (method === 'OPTIONS') {
        const headers = readable ? PREFLIGHT_HEADERS : {}
        return { status: 204, headers: { ...headers, allow } }
      }
      const error = new SteleError('method_not_allowed', `expected ${allow}, got ${excerpt(method)}`)
      const answer = problemAnswer(error)
      return { ...answer, headers: { ...answer.headers, allow } }
    },
  }
}

const NOWHERE = {
  method: 'get',
  permission: 'open',
  tag: '',
  summary: '',
  answers: {},
  errors: [],
  querySchema: z.object({}),
  pathSchema: z.object({}),
  ct: false,
} as const
