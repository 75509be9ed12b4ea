import { existsSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { SteleError } from '../errors.ts'
import {
  formatCosignerKey,
  generateCosignerKey,
  parseCosignerKey,
  type CosignerKey,
} from '../note/cosigner.ts'
import { isCosignerKeyType, KEY_TYPE, type CosignerKeyType } from '../note/key-id.ts'
import { formatVerifierKey, parseVerifierKey } from '../note/key.ts'
import { syncFolder } from '../storage/head-file.ts'
import { createWitnessState, type StatePaths } from '../witness/level.ts'
import { fileError, readKeyFile, readTextFile, writeNewFile } from './files.ts'
import { formatLogList } from './witness-logs.ts'

/*
 * A witness folder:
 *
 *   witness.json      format, version, name, public keys
 *   ed25519.skey      private key, mode 600
 *   ml-dsa-44.skey    private key, mode 600
 *   logs.json         the logs that it cosigns for
 *   database/         LevelDB: the checkpoint that was cosigned last for each log
 *   head              how many batches were written there, in a second place
 *   evidence/         signed checkpoints that contradict each other
 */
const FORMAT = 'stele witness folder'
const FORMAT_VERSION = 1

/** What a witness is, as `witness.json` says. */
const witnessInfoSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(FORMAT_VERSION),
  name: z.string().min(1),
  verifierKeys: z.array(z.string()).min(1),
  createdAt: z.string(),
})
export type WitnessInfo = z.infer<typeof witnessInfoSchema>

/** The files of a witness. */
export interface WitnessFiles {
  readonly info: string
  readonly logs: string
  readonly state: StatePaths
  readonly evidence: string
}

const KEY_FILES: Readonly<Record<CosignerKeyType, string>> = {
  [KEY_TYPE.ed25519Cosignature]: 'ed25519.skey',
  [KEY_TYPE.mlDsa44Cosignature]: 'ml-dsa-44.skey',
}

/** Where the files of a witness are. */
export function witnessFiles(folder: string): WitnessFiles {
  return {
    info: join(folder, 'witness.json'),
    logs: join(folder, 'logs.json'),
    state: { database: join(folder, 'database'), headFile: join(folder, 'head') },
    evidence: join(folder, 'evidence'),
  }
}

/**
 * Makes a witness: keys, an empty list of logs, a state in which nothing was signed. `witness.json` is written last, so
 * that a folder whose making was cut short is not taken for a witness.
 *
 * @param name of its keys: best a URL without its scheme, and nobody else's
 * @throws SteleError `already_exists`, `foreign_format` for a folder with something in it, `io_error`; `malformed` for
 *   what is not a key name
 */
export async function createWitness(
  folder: string,
  name: string,
  types: readonly CosignerKeyType[],
  nowMs = Date.now(),
): Promise<WitnessInfo> {
  const keys = types.map((type) => generateCosignerKey(name, type))
  await makeEmpty(folder)
  try {
    return await build(folder, name, keys, nowMs)
  } catch (error) {
    // It was empty: whatever is there now is ours.
    for (const made of await readdir(folder)) await rm(join(folder, made), { recursive: true })
    throw error instanceof SteleError ? error : fileError(folder, error)
  }
}

/** What a witness is. @throws SteleError `not_initialised`, `foreign_format`, `io_error` */
export async function readWitnessInfo(folder: string): Promise<WitnessInfo> {
  const path = witnessFiles(folder).info
  const text = await readTextFile(path)
  if (text === undefined) {
    throw new SteleError(
      'not_initialised',
      `${folder}: expected a witness folder with a witness.json in it, found none; "stele witness init" makes one`,
    )
  }
  const info = witnessInfoSchema.safeParse(parseJson(text, path))
  if (info.success) return info.data
  throw new SteleError('foreign_format', `${path}: ${z.prettifyError(info.error)}; nothing was changed`)
}

/**
 * The private keys of a witness, in the order of its public ones.
 *
 * @throws SteleError `key_missing`, `key_permissions`, `wrong_key`, `malformed`, `io_error`
 */
export async function readWitnessKeys(folder: string, { verifierKeys }: WitnessInfo): Promise<CosignerKey[]> {
  return Promise.all(
    verifierKeys.map(async (vkey) => {
      const { type } = parseVerifierKey(vkey)
      if (!isCosignerKeyType(type)) throw wrongKey(folder, vkey, 'a key that is none of a witness')
      const path = join(folder, KEY_FILES[type])
      const key = parseCosignerKey(await readKeyFile(path))
      const found = formatVerifierKey(key.verifier)
      if (found !== vkey) throw wrongKey(path, vkey, `${found}'s`)
      return key
    }),
  )
}

async function build(folder: string, name: string, keys: CosignerKey[], nowMs: number): Promise<WitnessInfo> {
  const files = witnessFiles(folder)
  for (const key of keys)
    await writeNewFile(join(folder, KEY_FILES[key.type]), `${formatCosignerKey(key)}\n`, 0o600)
  await writeNewFile(files.logs, formatLogList([]))
  await mkdir(files.evidence)
  await createWitnessState(files.state)
  const info: WitnessInfo = {
    format: FORMAT,
    version: FORMAT_VERSION,
    name,
    verifierKeys: keys.map(({ verifier }) => formatVerifierKey(verifier)),
    createdAt: new Date(nowMs).toISOString(),
  }
  await writeNewFile(files.info, `${JSON.stringify(info, null, 2)}\n`)
  await syncFolder(folder)
  return info
}

async function makeEmpty(folder: string): Promise<void> {
  if (existsSync(witnessFiles(folder).info)) {
    throw new SteleError('already_exists', `${folder}: this is a witness folder already; nothing was changed`)
  }
  const found = await mkdir(folder, { recursive: true, mode: 0o700 })
    .then(() => readdir(folder))
    .catch((error: unknown) => {
      throw fileError(folder, error)
    })
  if (found.length === 0) return
  const names = found.slice(0, 3).join(', ')
  throw new SteleError(
    'foreign_format',
    `${folder}: expected an empty folder, found ${names}; nothing was changed`,
  )
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new SteleError('foreign_format', `${path}: expected JSON: ${(cause as Error).message}`, { cause })
  }
}

function wrongKey(where: string, expected: string, found: string): SteleError {
  return new SteleError('wrong_key', `${where}: expected the private key of ${expected}, got ${found}`)
}
