import { createHash } from 'node:crypto'
import type { Answer } from '../answer.ts'
import { NO_CACHE } from '../headers.ts'

/** The style sheet of the pages that this server renders. */
const STYLE = `
:root { --ink: #1d2126; --soft: #5a646e; --paper: #fbfaf8; --card: #fff; --line: #dedad3; --accent: #7a4b1e;
  --get: #1f6f4a; --post: #8a4b08; --bad: #a3262a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e3de; --soft: #9aa3ab; --paper: #15171a; --card: #1d2024; --line: #33383e; --accent: #d9a066;
    --get: #6cc49a; --post: #e3a45b; --bad: #ef8a8d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.9rem; letter-spacing: -.01em; }
h2 { margin: 2.75rem 0 .75rem; font-size: 1.25rem; }
h3 { margin: 1.25rem 0 .35rem; font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); }
p { margin: .35rem 0 .75rem; max-width: 46rem; }
a { color: var(--accent); }
.lead, .soft { color: var(--soft); }
code, .mono { font: .875em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
nav ul { columns: 2 20rem; padding: 0; margin: 0; list-style: none; }
nav li { padding: .1rem 0; break-inside: avoid; }
nav a { text-decoration: none; }
.card { margin: 0 0 1rem; padding: 1rem 1.25rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; }
.card > :first-child { margin-top: 0; }
.card > :last-child { margin-bottom: 0; }
.route { font-weight: 600; }
.verb { display: inline-block; min-width: 3.25rem; font-weight: 700; }
.get { color: var(--get); }
.post { color: var(--post); }
.bad { color: var(--bad); }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .35rem .75rem .35rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top; }
th { width: 16rem; font-weight: 500; }
.wide { overflow-x: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; } th { width: auto; } }
`

/** Markup, as opposed to text that must be escaped. */
export class Html {
  readonly markup: string

  constructor(markup: string) {
    this.markup = markup
  }
}

type Part = string | number | Html | undefined | readonly Part[]

/** A template for markup. Values that are not markup are escaped. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((string, i) => (i === 0 ? '' : markupOf(parts[i - 1])) + string).join(''))
}

/** A whole page with one style sheet, which the headers allow by its hash. No scripts, no external resources. */
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
