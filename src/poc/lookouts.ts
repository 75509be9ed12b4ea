import { Readable, Writable } from 'node:stream'
import { parseHex } from '../bytes/hex.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { fsckStored } from '../cli/fsck/stored.ts'
import { Terminal } from '../cli/output/terminal.ts'
import { auditLog, HttpFiles, verifyProofFile } from '../client/index.ts'
import { asHash, type Hash, leafHash } from '../merkle/hash.ts'
import { verifyConsistency } from '../merkle/verify.ts'
import { formatAddCheckpoint } from '../note/add-checkpoint.ts'
import { type Checkpoint, parseCheckpoint } from '../note/checkpoint.ts'
import { parseNote } from '../note/note.ts'
import { openWithPolicy } from '../policy/evaluate.ts'
import { parsePolicy } from '../policy/parse.ts'
import { type Lookout, type Notice, noticed, type Party } from './attack.ts'
import { ask } from './front.ts'
import { LOG } from './history.ts'
import { judgeEvidence, monitorOnce } from './monitoring.ts'
import { entryAt } from './setting.ts'
import type { Stage } from './stage.ts'

type Look = Lookout['look']
const lookout =
  (by: Party, look: Look) =>
  (fact: string | undefined): Lookout => ({ by, fact, look })

/** Opens the log again. Notices if the log does not open, or opens and refuses entries. */
const open: Look = async (stage) => {
  const failure = await stage.startLog()
  return failure && { code: failure.code, message: failure.message }
}

export const log = lookout('log at opening', open)
/** Sends the log an entry. Notices if the log now refuses entries. */
export const logTakes = lookout('log at opening', async (stage) => {
  await fetch(`${stage.parts.front.url}/add`, { method: 'POST', body: `sent at ${performance.now()}` })
  const { failure } = stage
  return failure && { code: failure.code, message: failure.message }
})
/** Appends an entry, as an application does. */
export const logAppends = lookout('log at writing', async ({ parts: { front } }) => {
  const { status, body } = await ask(`${front.url}/add`, 'POST', {}, encodeUtf8(`${performance.now()}`))
  return status === 200 ? undefined : refusalIn(body)
})
/** Reads an entry from the log, which must refuse if the entry is not the one in the tree. */
export const logServes = (index: number) =>
  lookout('log at reading', async ({ parts, operatorLines }) => {
    const answer = await fetch(`${parts.front.url}/v1/entries/${index}`)
    if (answer.ok) return undefined
    const { code, detail } = (await answer.json()) as { code: string; detail: string }
    // The response does not contain the cause; the operator's log does.
    const line = operatorLines.at(-1)
    return { code, message: line === undefined ? detail : (JSON.parse(line) as { msg: string }).msg }
  })
/** Reads the server's metrics. Notices if the server disconnected clients and holds no responses in memory. */
export const server = lookout('server', async ({ parts: { front } }) => {
  const text = await (await fetch(`${new URL(front.target).origin}/metrics`)).text()
  const read = (series: string): number =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${series} `))
        ?.slice(series.length) ?? 0,
    )
  const cut = read('stele_http_cut_total{reason="pipelined"}')
  if (cut === 0 || read('stele_http_answer_bytes') > 0) return undefined
  return { code: 'overloaded', message: `clients disconnected for more than 64 pipelined requests: ${cut}` }
})
/** Appends from a web page in a browser on the server's machine, with the host name of that page. */
export const logTakesFromPage = lookout('log at writing', async (stage) => {
  const { host } = new URL(stage.parts.front.target)
  const name = `${stage.pageName}:${host.split(':')[1]!}`
  const page = { host: name, origin: `http://${name}`, 'sec-fetch-site': 'same-origin' }
  const { status, body } = await ask(
    `${stage.parts.front.target}/logs/${LOG}/add`,
    'POST',
    page,
    encodeUtf8(name),
  )
  return status === 200 ? undefined : refusalIn(body)
})
/** The same, for attacks where the log stops because of the witness's response. */
export const witnessOfLog = lookout('witness', open)

function refusalIn(body: Uint8Array): Notice {
  const { code, detail } = JSON.parse(Buffer.from(body).toString()) as { code: string; detail: string }
  return { code, message: detail }
}

/** Runs one round. */
export const monitor = lookout('monitor', monitorOnce)

const HOURS_MS = 2 * 3_600_000

/** Runs a round two hours later, after the log has logged another entry. */
export const monitorHoursLater = lookout('monitor', async (stage) => {
  const { clock, front } = stage.parts
  clock.moveOn(HOURS_MS)
  await stage.append(stage.newClient(`${front.target}/logs/${LOG}`))
  return monitorOnce(stage)
})

/** Checks the monitor's evidence offline. */
export const thirdParty = lookout('third party', judgeEvidence)

/** Recomputes the log over HTTP, as `stele audit` does. */
export const auditor = lookout('auditor', (stage) => audit(stage, stage.parts.front.url))

/** Recomputes the log on disk, as `stele fsck` does. Leaves the log closed. */
export const fsck = lookout('auditor', async (stage) => {
  await stage.stopLog()
  return fsckFolder(stage.data)
})

/** Reads the newest head, which must extend the newest one that the client has verified. */
export const client = lookout('client', (stage) => noticed(() => stage.client.checkpoint()))

/** Reads the newest head, with no earlier head to compare with. */
export const newcomer = lookout('new client', (stage) => noticed(() => stage.newClient().checkpoint()))

export const clientReads = (index: number) =>
  lookout('new client', (stage) => noticed(() => stage.newClient().entry(index)))

/** Appends an entry, and verifies the receipt. */
export const clientAppends = lookout('client', (stage) => noticed(() => stage.append()))

/** Checks the served checkpoint against the policy. */
export const policyReader = lookout('verifier', (stage) =>
  noticed(async () => openWithPolicy(await shownNote(stage), parsePolicy(stage.parts.policy))),
)

/** Verifies the given proof under the policy, offline. */
export const verifier = lookout('verifier', async (stage) => {
  const { entry, proof } = (stage.claim ??= await stage.append())
  const result = verifyProofFile({ entry, proof, policy: parsePolicy(stage.parts.policy) })
  return result.verdict === 'verified' ? undefined : { code: result.verdict, message: result.message }
})

/** Verifies the receipt of an entry, which proves it for ever, and reads that entry from the log. */
export const receiptHolder = (index: number) =>
  lookout('receipt holder', async (stage) => {
    const { proof } = await (stage.receipt ??= stage.client.prove(index))
    const entry = entryAt(index)
    const result = verifyProofFile({ entry, proof, policy: parsePolicy(stage.parts.policy) })
    if (result.verdict !== 'verified') return { code: result.verdict, message: result.message }
    const denied = await noticed(() => stage.newClient().prove(leafHash(entry)))
    return (
      denied && {
        ...denied,
        message: `the receipt of entry ${index} is valid, but the log denies the entry: ${denied.message}`,
      }
    )
  })

/** Receives the served checkpoint for a cosignature, with the consistency proof that the log serves. */
export const witness = lookout('witness', async (stage) => {
  const note = await shownNote(stage)
  const old = headOf(stage.heads.at(-1)!)
  const path = await shownConsistency(stage, old.size, headOf(note).size)
  const url = `${stage.parts.witness!.url}/add-checkpoint`
  const answer = await fetch(url, { method: 'POST', body: formatAddCheckpoint(old.size, path, note) })
  if (answer.ok) return undefined
  const { code, detail } = (await answer.json()) as { code: string; detail: string }
  return { code, message: detail }
})

/** Requests and verifies the proof that the newest tree extends the oldest published one. */
export const consistencyReader = lookout('auditor', (stage) =>
  noticed(async () => {
    const [older, newer] = [headOf(stage.heads[0]!), headOf(await shownNote(stage))]
    const path = await shownConsistency(stage, older.size, newer.size)
    const [oldRoot, newRoot] = [older.root, newer.root]
    verifyConsistency({ oldSize: older.size, newSize: newer.size, oldRoot, newRoot, path })
  }),
)

/** Recomputes the log at a URL. */
async function audit({ parts, patienceMs }: Stage, url: string): Promise<Notice | undefined> {
  const { origin, verifierKey } = parts.info
  let found: Notice | undefined
  const failed = await noticed(async () => {
    const files = new HttpFiles(url, {}, { deadlineMs: patienceMs })
    const { finding } = await auditLog(files, { origin, verifierKeys: [verifierKey], partialTiles: 'stored' })
    found = finding && { code: finding.kind, message: finding.message }
  })
  return failed ?? found
}

/** Recomputes the log of a data folder that is closed. */
async function fsckFolder(data: string): Promise<Notice | undefined> {
  const options = { secondOpinion: false, rebuildIndex: false }
  const { findings } = await fsckStored(silentTerminal(), data, LOG, options)
  const [first] = findings
  if (!first) return undefined
  // A failure to open the database has its own error code.
  const { kind, message, code = kind } = first
  return { code: typeof code === 'string' ? code : kind, message }
}

/** The checkpoint as it is served to readers. */
function shownNote(stage: Stage): Promise<string> {
  return stage.newClient().unverifiedCheckpoint()
}

/** The fields of a checkpoint, without verification. */
function headOf(note: string): Checkpoint {
  return parseCheckpoint(parseNote(note).text)
}

/** The consistency proof as it is served to readers. */
async function shownConsistency(stage: Stage, oldSize: number, newSize: number): Promise<Hash[]> {
  const answer = await fetch(`${stage.parts.front.url}/v1/proofs/consistency?old=${oldSize}&new=${newSize}`)
  const { path } = (await answer.json()) as { path: string[] }
  return path.map((hex) => asHash(parseHex(hex, 'proof'), 'proof'))
}

function silentTerminal(): Terminal {
  const sink = (): Writable => new Writable({ write: (_part, _encoding, done) => done() })
  const io = {
    stdout: sink(),
    stderr: sink(),
    stdin: Readable.from([]),
    env: {},
    calledAs: 'stele',
    onStopSignal: () => () => {},
    onReloadSignal: () => () => {},
    exit: (code: number): never => process.exit(code),
    crash: (): never => process.exit(70),
  }
  return new Terminal(io, { json: true, quiet: true, color: false })
}
