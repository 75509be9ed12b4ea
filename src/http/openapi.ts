import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiResponsesObject } from 'zod-openapi'
import type { ErrorCode } from '../errors.ts'
import { STATUS } from './errors.ts'
import type { Content, Route } from './route.ts'
import { Problem } from './schemas.ts'

/** An OpenAPI 3.1 document. */
export type OpenApiDocument = ReturnType<typeof createDocument>

const DESCRIPTION =
  'A transparency log: an append-only record that nobody, its operator included, can change without being caught. ' +
  'Hashes are lower-case hex in native answers and base64 on `ct/v1` routes. Indexes and sizes are numbers up to ' +
  '2^53-1, entries are 0 to 65,535 bytes. Errors are problem details (RFC 9457) with a stable `code`; 429 and 503 ' +
  'carry `Retry-After`, and then nothing was logged, unless the code is `outcome_unknown`: repeating is always safe. ' +
  'Unknown query parameters are refused below `v1`, and ignored on `ct/v1` routes, as RFC 6962 wants it.'

/** The description of the API, made from the routes that serve it. */
export function openApiDocument(routes: readonly Route[]): OpenApiDocument {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method]: operationOf(route) }
  }
  return createDocument(
    { openapi: '3.1.0', info: { title: 'Stele', version: '1', description: DESCRIPTION }, paths },
    {
      // Readers must bear fields that later versions add.
      override: ({ jsonSchema, io }) => {
        if (io === 'output') delete jsonSchema.additionalProperties
      },
    },
  )
}

function operationOf(route: Route): ZodOpenApiOperationObject {
  return {
    tags: [route.tag],
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    requestParams: { path: route.pathSchema, query: route.querySchema },
    ...(route.body ? { requestBody: { required: true, content: contentOf(route.body) } } : {}),
    responses: responsesOf(route),
  }
}

function responsesOf(route: Route): ZodOpenApiResponsesObject {
  const responses: Record<string, { description: string; content?: ReturnType<typeof contentOf> }> = {}
  const problem = contentOf({ 'application/problem+json': Problem })
  for (const [status, codes] of codesByStatus(route)) {
    responses[status] = { description: codes.join(', '), content: problem }
  }
  for (const [status, { description, content }] of Object.entries(route.answers)) {
    responses[status] = { description, ...(content ? { content: contentOf(content) } : {}) }
  }
  return responses
}

/** The codes of a route under their statuses; a log that is not open says why on all of its routes. */
function codesByStatus(route: Route): Map<string, ErrorCode[]> {
  const ofLogs: ErrorCode[] = route.path.startsWith('/logs/')
    ? ['not_found', 'log_halted', 'shutting_down', 'corrupt']
    : []
  const codes = new Set<ErrorCode>([...route.errors, ...ofLogs, 'internal'])
  const grouped = new Map<string, ErrorCode[]>()
  for (const code of codes) {
    const status = String(STATUS[code])
    grouped.set(status, [...(grouped.get(status) ?? []), code])
  }
  return grouped
}

function contentOf(content: Content): Record<string, { schema: Content[string] }> {
  return Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, { schema }]))
}
