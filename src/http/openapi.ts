import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiResponseObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi'
import type { ErrorCode } from '../errors.ts'
import { STATUS } from './errors.ts'
import type { Gate } from './gate.ts'
import type { Content, Route } from './route.ts'
import { Problem } from './schemas.ts'

/** An OpenAPI 3.1 document. */
export type OpenApiDocument = ReturnType<typeof createDocument>

const DESCRIPTION =
  'A transparency log: an append-only Merkle tree of entries, with signed checkpoints and verifiable proofs. ' +
  'Hashes are lower-case hex in native answers and base64 on `ct/v1` routes. Indexes and sizes are numbers up to ' +
  '2^53-1, entries are 0 to 65,535 bytes. Errors are problem details (RFC 9457) with a stable `code`; 429 and 503 ' +
  'carry `Retry-After`, and then nothing was logged, unless the code is `outcome_unknown`: repeating is safe in a log ' +
  'that refuses duplicates. ' +
  'Unknown query parameters are refused below `v1`, and ignored on `ct/v1` routes, as RFC 6962 wants it.'

const BEARER =
  'An API key, or where an identity provider is set up a token of it. Credentials that are not valid are refused on ' +
  'every operation, also on those that take none.'

/**
 * The API's description, made from the routes that serve it.
 *
 * @param gate tells which routes need credentials
 */
export function openApiDocument(
  routes: readonly Route[],
  gate: Pick<Gate, 'needsCredentials'>,
): OpenApiDocument {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const route of routes) {
    const operation = operationOf(route, gate.needsCredentials(route.permission))
    paths[route.path] = { ...paths[route.path], [route.method]: operation }
  }
  return createDocument(
    {
      openapi: '3.1.0',
      info: {
        title: 'Stele',
        version: '1',
        description: DESCRIPTION,
        license: { name: 'Apache License 2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'The server that this document came from.' }],
      paths,
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: BEARER } } },
    },
    {
      // Clients must accept fields that later versions add.
      override: ({ jsonSchema, io }) => {
        if (io === 'output') delete jsonSchema.additionalProperties
      },
    },
  )
}

function operationOf(route: Route, needsCredentials: boolean): ZodOpenApiOperationObject {
  return {
    operationId: operationId(route),
    tags: [route.tag],
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    // The empty requirement is OpenAPI's form for optional credentials: each log's visibility decides whether it is
    // read without them.
    security: needsCredentials ? [{ bearer: [] }] : [{}, { bearer: [] }],
    requestParams: { path: route.pathSchema, query: route.querySchema },
    ...(route.body
      ? { requestBody: { required: isBodyRequired(route.body), content: contentOf(route.body) } }
      : {}),
    responses: responsesOf(route),
  }
}

/** `getLogsByLogV1EntriesByIndexProof`: method and path, so that the ID is as stable as they are. */
function operationId({ method, path }: Route): string {
  const words = path.replaceAll(/\{(\w+)\}/g, '/by/$1').match(/[A-Za-z0-9]+/g) ?? ['root']
  return method + words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')
}

/** False where an empty body is valid: an empty entry, or JSON whose fields are all optional. */
function isBodyRequired(body: Content): boolean {
  return Object.entries(body).every(([type, schema]) => {
    return !schema.safeParse(type === 'application/json' ? {} : '').success
  })
}

function responsesOf(route: Route): ZodOpenApiResponsesObject {
  const responses: ZodOpenApiResponsesObject = {}
  const problem = contentOf({ 'application/problem+json': Problem })
  for (const [status, codes] of codesByStatus(route)) {
    const headers = HEADERS[status]
    responses[status] = { description: codes.join(', '), content: problem, ...(headers ? { headers } : {}) }
  }
  for (const [status, { description, content }] of Object.entries(route.answers)) {
    const code = status as `${1 | 2 | 3 | 4 | 5}${string}`
    responses[code] = { description, ...(content ? { content: contentOf(content) } : {}) }
  }
  return responses
}

const RETRY_AFTER = {
  'Retry-After': { description: 'Seconds.', schema: { type: 'integer', minimum: 0 } },
} as const
const HEADERS: Readonly<Record<string, ZodOpenApiResponseObject['headers']>> = {
  401: { 'WWW-Authenticate': { description: 'The scheme.', schema: { type: 'string' } } },
  429: RETRY_AFTER,
  503: RETRY_AFTER,
}

/** Codes that any request may be refused with, before or after its route handles it. */
const ANYWHERE: readonly ErrorCode[] = [
  'unauthenticated',
  'wrong_host',
  'rate_limited',
  'overloaded',
  'untraceable',
  'identity_unavailable',
  'internal',
]
/** All routes of a log that is not open answer with the reason. */
const OF_LOGS: readonly ErrorCode[] = ['not_found', 'log_halted', 'shutting_down', 'corrupt']

/** The codes of a route under their statuses. */
function codesByStatus(route: Route): Map<`${4 | 5}${string}`, ErrorCode[]> {
  const codes = new Set<ErrorCode>([
    ...route.errors,
    ...(route.permission === 'open' ? [] : (['forbidden'] as const)),
    ...(route.path.startsWith('/logs/') ? OF_LOGS : []),
    ...ANYWHERE,
  ])
  const grouped = new Map<`${4 | 5}${string}`, ErrorCode[]>()
  for (const code of codes) {
    const status = String(STATUS[code]) as `${4 | 5}${string}`
    grouped.set(status, [...(grouped.get(status) ?? []), code])
  }
  return grouped
}

function contentOf(content: Content): Record<string, { schema: Content[string] }> {
  return Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, { schema }]))
}
