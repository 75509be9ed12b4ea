import { existsSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { SteleError } from '../errors.ts'
import { formatJson, parseJson } from '../instance/json-file.ts'
import {
  type CosignerKey,
  formatCosignerKey,
  generateCosignerKey,
  parseCosignerKey,
} from '../note/cosigner.ts'
import { type CosignerKeyType, isCosignerKeyType, KEY_TYPE } from '../note/key-id.ts'
import { formatVerifierKey, parseVerifierKey } from '../note/key.ts'
import { fileError, inFile, readTextFile, syncFolder, writeNewFile } from '../storage/files.ts'
import { readKeyFile } from '../storage/key-file.ts'
import { createWitnessState, type StatePaths } from './level.ts'
import { formatLogList } from './log-list.ts'

/** What kind of cosigner a folder is of: a witness or a mirror. */
export type CosignerKind = 'witness' | 'mirror'

const FORMAT_VERSION = 1

/** The content of `witness.json` or `mirror.json`. */
export interface CosignerInfo {
  readonly format: string
  readonly version: number
  readonly name: string
  readonly verifierKeys: readonly string[]
  readonly createdAt: string
}

const KEY_FILES: Readonly<Record<CosignerKeyType, string>> = {
  [KEY_TYPE.ed25519Cosignature]: 'ed25519.skey',
  [KEY_TYPE.mlDsa44Cosignature]: 'ml-dsa-44.skey',
}

/** The files that every cosigner has, besides its keys and its `witness.json` or `mirror.json`. */
export interface CosignerFiles {
  readonly logs: string
  readonly evidence: string
  /** The URL of the process that has the folder open. Missing while it starts. */
  readonly serving: string
}

/** Where they are. */
export function cosignerFiles(folder: string): CosignerFiles {
  return {
    logs: join(folder, 'logs.json'),
    evidence: join(folder, 'evidence'),
    serving: join(folder, 'serving'),
  }
}

/** The file that says what a folder is. */
function infoFile(kind: CosignerKind, folder: string): string {
  return join(folder, `${kind}.json`)
}

/** A cosigner to be made. */
export interface NewCosigner {
  readonly kind: CosignerKind
  readonly folder: string
  /** Name of its keys: preferably a URL without its scheme, and unique. */
  readonly name: string
  readonly types: readonly CosignerKeyType[]
  readonly nowMs: number
  /** Makes the initial state in the folder: no logs, nothing signed. */
  readonly fill: () => Promise<void>
}

/**
 * Makes keys, an empty list of logs, and state. The file that identifies the folder is written last, so that a folder
 * of an interrupted attempt is not taken for a complete one.
 *
 * @throws SteleError `already_exists`, `foreign_format` for a folder that is not empty, `io_error`; `malformed` for an
 *   invalid key name
 */
export async function createCosignerFolder(cosigner: NewCosigner): Promise<CosignerInfo> {
  const { kind, folder, name, types } = cosigner
  const keys = types.map((type) => generateCosignerKey(name, type))
  await makeEmpty(kind, folder)
  try {
    return await build(cosigner, keys)
  } catch (error) {
    // The folder was empty before, so everything in it was made by this call.
    for (const made of await readdir(folder)) await rm(join(folder, made), { recursive: true })
    throw error instanceof SteleError ? error : fileError(folder, error)
  }
}

/** What a cosigner is. @throws SteleError `not_initialised`, `foreign_format`, `io_error` */
export async function readCosignerInfo(kind: CosignerKind, folder: string): Promise<CosignerInfo> {
  const path = infoFile(kind, folder)
  const text = await readTextFile(path)
  if (text === undefined) {
    throw new SteleError(
      'not_initialised',
      `${folder}: expected a ${kind} folder with a ${kind}.json in it, found none; "stele ${kind} init" makes one`,
    )
  }
  const info = infoSchema(kind).safeParse(parseJson(text, path))
  if (info.success) return info.data
  throw new SteleError('foreign_format', `${path}: ${z.prettifyError(info.error)}; nothing was changed`)
}

/**
 * The private keys of a cosigner, in the order of its public ones.
 *
 * @throws SteleError `key_missing`, `key_permissions`, `wrong_key`, `malformed`, `io_error`
 */
export async function readCosignerKeys(
  folder: string,
  { verifierKeys }: CosignerInfo,
): Promise<CosignerKey[]> {
  return Promise.all(
    verifierKeys.map(async (vkey) => {
      const { type } = parseVerifierKey(vkey)
      if (!isCosignerKeyType(type)) throw wrongKey(folder, vkey, 'a key that is none of a cosigner')
      const path = join(folder, KEY_FILES[type])
      const text = await readKeyFile(path)
      const key = inFile(path, () => parseCosignerKey(text))
      const found = formatVerifierKey(key.verifier)
      if (found !== vkey) throw wrongKey(path, vkey, `${found}'s`)
      return key
    }),
  )
}

async function build(
  { kind, folder, name, nowMs, fill }: NewCosigner,
  keys: CosignerKey[],
): Promise<CosignerInfo> {
  for (const key of keys)
    await writeNewFile(join(folder, KEY_FILES[key.type]), `${formatCosignerKey(key)}\n`, 0o600)
  const { logs, evidence } = cosignerFiles(folder)
  await writeNewFile(logs, formatLogList([]))
  await mkdir(evidence)
  await fill()
  const info: CosignerInfo = {
    format: formatOf(kind),
    version: FORMAT_VERSION,
    name,
    verifierKeys: keys.map(({ verifier }) => formatVerifierKey(verifier)),
    createdAt: new Date(nowMs).toISOString(),
  }
  await writeNewFile(infoFile(kind, folder), formatJson(info))
  await syncFolder(folder)
  return info
}

async function makeEmpty(kind: CosignerKind, folder: string): Promise<void> {
  if (existsSync(infoFile(kind, folder))) {
    throw new SteleError('already_exists', `${folder}: this is a ${kind} folder already; nothing was changed`)
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

function formatOf(kind: CosignerKind): string {
  return `stele ${kind} folder`
}

function infoSchema(kind: CosignerKind): z.ZodType<CosignerInfo> {
  return z.strictObject({
    format: z.literal(formatOf(kind)),
    version: z.literal(FORMAT_VERSION),
    name: z.string().min(1),
    verifierKeys: z.array(z.string()).min(1),
    createdAt: z.string(),
  })
}

function wrongKey(where: string, expected: string, found: string): SteleError {
  return new SteleError('wrong_key', `${where}: expected the private key of ${expected}, got ${found}`)
}

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

/** The files of a witness. */
export interface WitnessFiles extends CosignerFiles {
  readonly state: StatePaths
}

/** Where the files of a witness are. */
export function witnessFiles(folder: string): WitnessFiles {
  return {
    ...cosignerFiles(folder),
    state: { database: join(folder, 'database'), headFile: join(folder, 'head') },
  }
}

/** Makes a witness that has signed nothing. Throws as `createCosignerFolder`. */
export function createWitness(
  folder: string,
  name: string,
  types: readonly CosignerKeyType[],
  nowMs = Date.now(),
): Promise<CosignerInfo> {
  const fill = (): Promise<void> => createWitnessState(witnessFiles(folder).state)
  return createCosignerFolder({ kind: 'witness', folder, name, types, nowMs, fill })
}
