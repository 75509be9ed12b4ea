import * as z from 'zod'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { problemAnswer } from './errors.ts'
import { PREFLIGHT_HEADERS } from './headers.ts'
import type { Route } from './route.ts'

/** Stands in where no route is. Metrics know it by one name, whatever callers make up. */
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
 * Stands in where a route is, though not for this method: says which methods there are.
 *
 * @param path for metrics
 */
export function withoutMethod(method: string, path: string, allowed: readonly string[]): Route {
  const allow = [...allowed, 'OPTIONS'].join(', ')
  return {
    ...NOWHERE,
    path,
    async handle() {
      if (method === 'OPTIONS') {
        // Only reading is open to pages of other origins.
        const headers = allowed.includes('GET') ? PREFLIGHT_HEADERS : {}
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
