import { Readable, Writable } from 'node:stream'
import { parseHex } from '../bytes/hex.ts'
import { auditLog, HttpFiles } from '../client/index.ts'
import { asHash, type Hash } from '../merkle/hash.ts'
import { parseCheckpoint, type Checkpoint } from '../note/checkpoint.ts'
import { parseNote } from '../note/note.ts'
import { fsckStored } from '../cli/fsck/stored.ts'
import { Terminal } from '../cli/output/terminal.ts'
import { noticed, type Notice } from './attack.ts'
import { LOG } from './history.ts'
import type { Stage } from './stage.ts'

/** Recomputes the log at a URL. */
export async function audit({ parts, patienceMs }: Stage, url: string): Promise<Notice | undefined> {
  const { origin, verifierKey } = parts.info
  let found: Notice | undefined
  const failed = await noticed(async () => {
    const files = new HttpFiles(url, {}, { deadlineMs: patienceMs })
    const { finding } = await auditLog(files, { origin, verifierKeys: [verifierKey], partialTiles: 'stored' })
    found = finding && { code: finding.kind, message: finding.message }
  })
  return failed ?? found
}

/** Recomputes the log of a data folder that nobody has open. */
export async function fsckFolder(data: string): Promise<Notice | undefined> {
  const options = { secondOpinion: false, rebuildIndex: false }
  const { findings } = await fsckStored(silentTerminal(), data, LOG, options)
  const [first] = findings
  if (!first) return undefined
  // What keeps the database from being opened has a code of its own.
  const { kind, message, code = kind } = first
  return { code: typeof code === 'string' ? code : kind, message }
}

/** The checkpoint as readers see it. */
export function shownNote(stage: Stage): Promise<string> {
  return stage.newClient().unverifiedCheckpoint()
}

/** What a checkpoint says; nobody has verified it here. */
export function headOf(note: string): Checkpoint {
  return parseCheckpoint(parseNote(note).text)
}

/** The consistency proof as readers get it. */
export async function shownConsistency(stage: Stage, oldSize: number, newSize: number): Promise<Hash[]> {
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
