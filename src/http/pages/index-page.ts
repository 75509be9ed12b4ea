import type * as z from 'zod'
import { html, page, type Html } from './html.ts'
import type { LogDescription } from '../schemas.ts'

type Described = z.output<typeof LogDescription>

/** The page at the root: the logs of this server, and links to the documentation. */
export function indexPage(logs: readonly Described[]): Html {
  return page(
    'Stele',
    html`<header>
        <h1>Stele</h1>
        <p class="lead">
          A transparency log: what stands here cannot be changed without being caught by anyone who looks.
        </p>
        <p>
          <a href="/docs">How to talk to it</a> · <a href="/openapi.json">OpenAPI</a> ·
          <a href="/v1/logs">logs as JSON</a> · <a href="/readyz">readiness</a>
        </p>
      </header>
      <h2>Logs</h2>
      ${logs.length === 0 ? html`<p class="soft">This server holds no log yet.</p>` : logs.map(logCard)}`,
  )
}

function logCard(log: Described): Html {
  const rows: [string, string | Html | undefined][] = [
    [
      'state',
      html`<span class="${log.state === 'serving' || log.state === 'frozen' ? 'get' : 'bad'}"
        >${log.state}</span
      >`,
    ],
    ['reason', log.reason],
    ['size', log.treeSize?.toLocaleString('en')],
    ['root hash', log.rootHash === undefined ? undefined : html`<code>${log.rootHash}</code>`],
    ['signed', log.timestampMs === undefined ? undefined : new Date(log.timestampMs).toISOString()],
    ['origin', html`<code>${log.origin}</code>`],
    ['verifier key', html`<code>${log.verifierKey}</code>`],
  ]
  const shown = rows.filter(([, value]) => value !== undefined)
  return html`<section class="card">
    <p class="route">${log.name}</p>
    <dl>
      ${shown.map(
        ([name, value]) =>
          html`<dt>${name}</dt>
            <dd>${value}</dd>`,
      )}
    </dl>
    <p><a href="${log.path}checkpoint">checkpoint</a> · <a href="${log.path}ct/v1/get-sth">tree head</a></p>
  </section>`
}
