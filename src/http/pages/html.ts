import { createHash } from 'node:crypto'
import type { Answer } from '../answer.ts'
import { NO_CACHE } from '../headers.ts'
import { STYLE } from './style.ts'

/** Markup, as opposed to text that has yet to be escaped. */
export class Html {
  readonly markup: string

  constructor(markup: string) {
    this.markup = markup
  }
}

type Part = string | number | Html | undefined | readonly Part[]

/** Markup with its holes filled: whatever is not markup itself is escaped. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((string, i) => (i === 0 ? '' : markupOf(parts[i - 1])) + string).join(''))
}

/** A whole page: one style sheet, which its headers name by its hash; no scripts, nothing from outside. */
export function page(title: string, content: Html): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        ${new Html(`<style>${STYLE}</style>`)}
      </head>
      <body>
        ${content}
      </body>
    </html> `
}

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')
const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; ` +
    `frame-ancestors 'none'`,
  ...NO_CACHE,
}

/** A page as an answer. */
export function htmlAnswer(content: Html): Answer {
  return { status: 200, headers: PAGE_HEADERS, body: content.markup }
}

function markupOf(part: Part): string {
  if (part === undefined) return ''
  if (part instanceof Html) return part.markup
  if (typeof part === 'object') return part.map(markupOf).join('')
  return escape(String(part))
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => ESCAPES[char]!)
}
