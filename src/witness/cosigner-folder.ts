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
import { fileError, inFile, readTextFile, syncFolder, writeNewFile } from '../storage/files.ts'
import { formatJson, parseJson } from '../instance/json-file.ts'
import { readKeyFile } from '../storage/key-file.ts'
import { formatLogList } from './log-list.ts'

/** What kind of cosigner a folder is of: a witness or a mirror. */
export type CosignerKind = 'witness' | 'mirror'

const FORMAT_VERSION = 1

/** What a cosigner is, as `witness.json` or `mirror.json` says. */
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

/** The files that every cosigner has, beside its keys and the file that says what it is. */
export interface CosignerFiles {
  readonly logs: string
  readonly evidence: string
  /** The URL of the process that has the folder open; there is none while it starts. */
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
  /** Of its keys: best a URL without its scheme, and nobody else's. */
  readonly name: string
  readonly types: readonly CosignerKeyType[]
  readonly nowMs: number
  /** Puts the state of a cosigner of no log, which has signed nothing, into the folder. */
  readonly fill: () => Promise<void>
}

/**
 * Makes keys, an empty list of logs, and state. The file that says what the folder is is written last, so that a folder whose making was cut
 * short is not taken for one.
 *
 * @throws SteleError `already_exists`, `foreign_format` for a folder with something in it, `io_error`; `malformed` for
 *   what is not a key name
 */
export async function createCosignerFolder(cosigner: NewCosigner): Promise<CosignerInfo> {
  const { kind, folder, name, types } = cosigner
  const keys = types.map((type) => generateCosignerKey(name, type))
  await makeEmpty(kind, folder)
  try {
    return await build(cosigner, keys)
  } catch (error) {
    // It was empty: whatever is there now is ours.
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
