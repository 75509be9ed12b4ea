import type { oas31 } from 'zod-openapi'
import { html, page, type Html } from './html.ts'
import type { OpenApiDocument } from '../openapi.ts'

interface Operation {
  readonly method: string
  readonly path: string
  readonly is: oas31.OperationObject
}

/** The API's description as a page: parameters and bodies, answers, and error codes. */
export function docsPage(document: OpenApiDocument): Html {
  const operations = operationsOf(document)
  const tags = [...new Set(operations.map(tagOf))]
  return page(
    `${document.info.title} API`,
    html`<header>
        <h1>${document.info.title} API</h1>
        <p>${prose(document.info.description)}</p>
        <p><a href="/">Logs of this server</a> · <a href="/openapi.json">the same as OpenAPI 3.1</a></p>
      </header>
      <nav class="card">
        <ul>
          ${operations.map(linkTo)}
        </ul>
      </nav>
      ${tags.map((tag) =>
        section(
          tag,
          operations.filter((operation) => tagOf(operation) === tag),
        ),
      )}
      <h2>Answers in JSON</h2>
      ${Object.entries(document.components?.schemas ?? {}).map(([name, schema]) => component(name, schema))}`,
  )
}

/** Text with code between backticks. */
function prose(text = ''): Html[] {
  return text.split('`').map((part, i) => (i % 2 === 0 ? html`${part}` : html`<code>${part}</code>`))
}

function operationsOf({ paths = {} }: OpenApiDocument): Operation[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    (['get', 'post'] as const).flatMap((method) => {
      const is = item[method]
      return is ? [{ method, path, is }] : []
    }),
  )
}

function tagOf({ is }: Operation): string {
  return is.tags?.[0] ?? ''
}

function idOf({ method, path }: Operation): string {
  return `${method}${path}`
}

function linkTo(operation: Operation): Html {
  return html`<li>
    <a href="#${idOf(operation)}">${verb(operation)} <code>${operation.path}</code></a>
  </li>`
}

function verb({ method }: Operation): Html {
  return html`<span class="verb ${method}">${method.toUpperCase()}</span>`
}

function section(tag: string, operations: readonly Operation[]): Html {
  return html`<h2>${tag}</h2>
    ${operations.map(card)}`
}

function card(operation: Operation): Html {
  const { is } = operation
  return html`<section class="card" id="${idOf(operation)}">
    <p class="route">${verb(operation)} <code>${operation.path}</code></p>
    <p>${is.summary}. <span class="soft">${prose(is.description)}</span></p>
    ${parameters((is.parameters ?? []) as oas31.ParameterObject[])} ${body(is.requestBody)}
    <h3>Answers</h3>
    ${table(Object.entries(is.responses ?? {}).map(([status, response]) => answerRow(status, response)))}
  </section>`
}

function parameters(list: readonly oas31.ParameterObject[]): Html | undefined {
  if (list.length === 0) return undefined
  const rows = list.map(({ name, required, schema, description, in: place }): [Html, Html] => [
    html`<code>${name}</code> <span class="soft">${place}${required ? '' : ', optional'}</span>`,
    html`${description ?? describedBy(schema)} <span class="soft">${typeName(schema)}</span>`,
  ])
  return html`<h3>Parameters</h3>
    ${table(rows)}`
}

function body(requestBody: oas31.OperationObject['requestBody']): Html | undefined {
  if (!requestBody || !('content' in requestBody)) return undefined
  const types = Object.keys(requestBody.content).map((type) => html`<code>${type}</code> `)
  return html`<h3>Body</h3>
    <p>${types}</p>`
}

function answerRow(status: string, response: unknown): [Html, Html] {
  const { description, content = {} } = response as oas31.ResponseObject
  const refused = Number(status) >= 400
  const bodies = Object.entries(content).map(
    ([type, { schema }]) => html`<span class="soft"><code>${type}</code> ${schemaName(schema)}</span> `,
  )
  return [
    html`<span class="${refused ? 'bad' : 'get'}">${status}</span>`,
    refused && 'application/problem+json' in content
      ? html`<code>${description}</code>`
      : html`${description} ${bodies}`,
  ]
}

function component(name: string, schema: oas31.SchemaObject | oas31.ReferenceObject): Html {
  return html`<section class="card" id="schema-${name}">
    <p class="route">${name}</p>
    <p class="soft">${describedBy(schema)}</p>
    ${fields(schema)}
  </section>`
}

function fields(schema: oas31.SchemaObject | oas31.ReferenceObject, prefix = ''): Html | undefined {
  const rows = fieldRows(schema, prefix)
  return rows.length === 0 ? undefined : table(rows)
}

/** The fields of an object and of the objects inside it, with their full names. */
function fieldRows(schema: oas31.SchemaObject | oas31.ReferenceObject, prefix: string): [Html, Html][] {
  if ('$ref' in schema) return []
  const required = new Set(schema.required)
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]): [Html, Html][] => {
    const items = '$ref' in field ? undefined : field.items
    const full = `${prefix}${name}${items ? '[]' : ''}`
    return [
      [
        html`<code>${full}</code> <span class="soft">${required.has(name) ? '' : 'optional'}</span>`,
        html`${describedBy(field)} <span class="soft">${typeName(field)}</span>`,
      ],
      ...(items ? fieldRows(items, `${full}.`) : []),
    ]
  })
}

function describedBy(schema: unknown): string {
  const { description } = (schema ?? {}) as { description?: string }
  return description ?? ''
}

function typeName(schema: unknown): string | Html {
  const is = (schema ?? {}) as {
    $ref?: string
    type?: string
    enum?: string[]
    items?: unknown
    default?: unknown
  }
  if (is.$ref !== undefined) return schemaName(schema)
  if (is.items !== undefined) return html`list of ${typeName(is.items)}`
  const type = is.enum ? is.enum.join(' | ') : (is.type ?? '')
  return is.default === undefined ? type : `${type}, default ${JSON.stringify(is.default)}`
}

function schemaName(schema: unknown): Html {
  const { $ref } = (schema ?? {}) as { $ref?: string }
  const name = $ref?.slice($ref.lastIndexOf('/') + 1)
  return name === undefined ? html`` : html`<a href="#schema-${name}">${name}</a>`
}

function table(rows: readonly [Html, Html][]): Html {
  return html`<div class="wide">
    <table>
      ${rows.map(
        ([left, right]) =>
          html`<tr>
            <th scope="row">${left}</th>
            <td>${right}</td>
          </tr>`,
      )}
    </table>
  </div>`
}
