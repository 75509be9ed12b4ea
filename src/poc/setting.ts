import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { encodeUtf8 } from '../bytes/text.ts'
import { KEY_TYPE } from '../note/key-id.ts'
import { parseVerifierKey } from '../note/key.ts'
import { createLog, initDataFolder, logFiles, type LogInfo } from '../instance/data-folder.ts'
import { witnessOptions } from '../witness/cosigner-config.ts'
import { createWitness, readCosignerKeys, witnessFiles } from '../witness/cosigner-folder.ts'
import { NONE_YET } from '../instance/log-files.ts'
import { addToLogList } from '../witness/log-list.ts'
import { startWitness, type RunningWitness } from '../witness/start.ts'
import { verifiersOf } from '../witness/keys.ts'
import { Front } from './front.ts'
import { LOG, rewriteWithKey } from './history.ts'
import { Stage, StageClock, type StageOptions } from './stage.ts'

/** The log of every scenario. */
export const ORIGIN = 'log.example/logs/main'
const WITNESS = 'witness.example/w1'
/** A small log is filled in this many steps, each with its own signed head. */
const STEPS = 3
/** At most this many entries are appended over HTTP. */
const APPENDED_AT_MOST = 10_000

/** The entry at an index below the initial size. Every third one is of host-b. */
export function entryAt(index: number): Uint8Array {
  const host = index % 3 === 2 ? 'host-b' : 'host-a'
  return encodeUtf8(`Dec 10 06:55:46 ${host} sshd[${index}]: Failed password for root`)
}

/**
 * Prepares a scenario in an empty folder: creates a log and a witness that knows it, starts both, and fills the log.
 *
 * @param folder is created, and left when the scenario is closed
 */
export async function setStage(folder: string, options: StageOptions): Promise<Stage> {
  const data = join(folder, 'data')
  await mkdir(folder, { recursive: true })
  await initDataFolder(data)
  const info = await createLog(data, { name: LOG, origin: ORIGIN, allowDuplicates: false, reads: 'public' })
  const clock = new StageClock()
  const made =
    options.witnessed === false ? undefined : await openWitness(join(folder, 'witness'), info, clock)
  const policy = formatPolicy(info, made)
  await writeFile(join(folder, 'policy'), policy)
  if (made) {
    await writeFile(logFiles(data, LOG).published, `${NONE_YET}\n`)
    await writeFile(logFiles(data, LOG).policy, policy)
  }
  const witness = made?.running
  const stage = new Stage({ folder, options, info, clock, witness, policy, front: await Front.open('') })
  try {
    await fill(stage, options.entries ?? 600)
    return stage
  } catch (error) {
    await stage.close()
    throw error
  }
}

/** Copies the whole data folder, with head file and keys; the log is closed meanwhile. */
export async function backUp(stage: Stage): Promise<void> {
  await stage.stopLog()
  await cp(stage.data, stage.path('backup'), { recursive: true })
  await stage.startLog()
}

/** Replaces the data folder with the copy, and leaves the log closed. */
export async function restoreBackup(stage: Stage): Promise<void> {
  await stage.stopLog()
  await rm(stage.data, { recursive: true })
  await cp(stage.path('backup'), stage.data, { recursive: true })
}

/** A small log is filled by appending over HTTP. A large one is written to the database, which saves seconds. */
async function fill(stage: Stage, size: number): Promise<void> {
  if (size > APPENDED_AT_MOST) await rewriteWithKey(stage.data, entriesFrom(0, size))
  const failure = await stage.startLog()
  if (failure) throw failure
  for (let step = 0; step < STEPS && size <= APPENDED_AT_MOST; step++) {
    const [begin, end] = [step, step + 1].map((n) => Math.floor((size * n) / STEPS)) as [number, number]
    await stage.client.appendBatch(entriesFrom(begin, end))
    stage.heads.push(await stage.client.unverifiedCheckpoint())
  }
}

function entriesFrom(begin: number, end: number): Uint8Array[] {
  return Array.from({ length: end - begin }, (_, i) => entryAt(begin + i))
}

interface MadeWitness {
  readonly running: RunningWitness
  readonly vkey: string
}

async function openWitness(folder: string, log: LogInfo, clock: StageClock): Promise<MadeWitness> {
  const info = await createWitness(folder, WITNESS, [KEY_TYPE.ed25519Cosignature])
  const own = verifiersOf(await readCosignerKeys(folder, info))
  const keys = [parseVerifierKey(log.verifierKey)]
  await addToLogList(witnessFiles(folder).logs, own, { origin: log.origin, keys })
  const config = witnessOptions.load({ flags: { data: folder, port: '0' } })
  const running = await startWitness(config, pino({ level: 'silent' }), () => clock.nowMs())
  return { running, vkey: info.verifierKeys[0]! }
}

/** The policy: the log's key, and the witness's if there is one. */
function formatPolicy({ verifierKey }: LogInfo, witness: MadeWitness | undefined): string {
  const who = witness ? [`witness w1 ${witness.vkey} ${witness.running.url}`, 'quorum w1'] : ['quorum none']
  return [`log ${verifierKey}`, ...who, ''].join('\n')
}
