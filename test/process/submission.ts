import { encodeBundle } from '../../src/tile/bundle.ts'
import type { Answer, Connection } from './connection.ts'
import type { Ledger } from './ledger.ts'

/** One request that appends. */
export interface Submission {
  readonly entries: readonly string[]
  readonly route: 'add' | 'v1/entries' | 'v1/entries?proof=true' | 'ndjson' | 'bundle'
}

/** What came of it: the status and code of the answer, or the error that came in its place. */
export interface Outcome {
  readonly submission: Submission
  readonly status: number | undefined
  /** Of a refusal, or of the connection. */
  readonly code: string | undefined
}

/** Codes with which the log promises that nothing of the request was logged. */
const REFUSALS = ['rate_limited', 'overloaded', 'shutting_down', 'log_halted']

/** Sends entries, and enters in the ledger what came of it. Never rejects for what the network or the log does. */
export async function submit(
  connection: Connection,
  submission: Submission,
  ledger: Ledger,
): Promise<Outcome> {
  submission.entries.forEach((entry) => ledger.submit(entry))
  const answer = await post(connection, submission).catch((error: NodeJS.ErrnoException) => error)
  if (answer instanceof Error) {
    submission.entries.forEach((entry) => ledger.doubt(entry))
    return { submission, status: undefined, code: answer.code ?? answer.message }
  }
  if (answer.status === 200) {
    acknowledge(submission, String(answer.body), ledger)
    return { submission, status: 200, code: undefined }
  }
  const { code } = JSON.parse(String(answer.body)) as { code: string }
  if (!REFUSALS.includes(code)) submission.entries.forEach((entry) => ledger.doubt(entry))
  return { submission, status: answer.status, code }
}

function post(connection: Connection, { entries, route }: Submission): Promise<Answer> {
  const bodies = entries.map((entry) => Buffer.from(entry, 'latin1'))
  if (route === 'ndjson') {
    const body = Buffer.from(entries.join('\n'), 'latin1')
    const headers = { 'content-type': 'application/x-ndjson' }
    return connection.ask('v1/batches', { method: 'POST', body, headers })
  }
  if (route === 'bundle') {
    const headers = { 'content-type': 'application/vnd.c2sp.entry-bundle' }
    return connection.ask('v1/batches', { method: 'POST', body: encodeBundle(bodies), headers })
  }
  return connection.ask(route, { method: 'POST', body: bodies[0]! })
}

function acknowledge({ entries, route }: Submission, body: string, ledger: Ledger): void {
  if (route === 'add') return ledger.acknowledge({ entry: entries[0]!, index: Number(body) })
  if (route === 'ndjson' || route === 'bundle') return acknowledgeBatch(entries, body, ledger)
  const receipt = JSON.parse(body) as { index: number; leafHash: string; treeSize: number; proof?: string }
  ledger.acknowledge({ entry: entries[0]!, ...receipt })
}

function acknowledgeBatch(entries: readonly string[], body: string, ledger: Ledger): void {
  const { begin, end, treeSize, count, duplicates } = JSON.parse(body) as {
    begin: number
    end: number
    treeSize: number
    count: number
    duplicates: { position: number; index: number }[]
  }
  const known = new Map(duplicates.map(({ position, index }) => [position, index]))
  let next = begin
  entries.forEach((entry, position) => {
    const duplicate = known.has(position)
    const index = known.get(position) ?? next++
    ledger.acknowledge({ entry, index, treeSize, duplicate })
  })
  if (next !== end || count !== entries.length) {
    throw new Error(`a batch of ${entries.length} entries got the receipt ${body}`)
  }
}
