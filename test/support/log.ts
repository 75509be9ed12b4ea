import { createECDH } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { toBase64 } from '../../src/bytes/base64.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import type { HostedLog } from '../../src/instance/directory.ts'
import type { Log, LogOptions } from '../../src/log/log.ts'
import { beginLog, openLog } from '../../src/log/open.ts'
import { formatSigningKey, formatVerifierKey, generateSigningKey } from '../../src/note/key.ts'
import { formatPkcs8 } from '../../src/crypto/p256-der.ts'
import { treeHeadSigner } from '../../src/note/tree-head.ts'
import { keySigner, type LogKeys } from '../../src/instance/keys.ts'
import type { HeadFile } from '../../src/storage/head-file.ts'
import { MemoryLeafIndex } from '../../src/storage/leaf-index.ts'
import { MemoryStore } from '../../src/storage/memory.ts'
import type { LogStore } from '../../src/storage/store.ts'

/** A log over memory, as a server hosts it. */
export interface TestLog extends HostedLog {
  readonly log: Log
  /** Appends texts, each as an entry. */
  add(...entries: string[]): Promise<void>
}

export interface TestLogOptions extends Partial<LogOptions> {
  readonly name?: string
  /** Stands around the memory store, to make it fail or wait. */
  readonly wrapStore?: (store: LogStore) => LogStore
}

/** Opens an empty log over memory, with keys from fixed seeds, a clock that stands still, and no idle signatures. */
export async function openTestLog({
  name = 'demo',
  wrapStore,
  ...options
}: TestLogOptions = {}): Promise<TestLog> {
  const origin = `log.example/logs/${name}`
  const keys = testKeys(origin)
  const signer = keySigner(origin, keys)
  const store = new MemoryStore()
  const headFile = new MemoryHeadFile()
  await headFile.write(await beginLog(store, signer, TEST_NOW_MS))
  const parts = { origin, store: wrapStore?.(store) ?? store, headFile, index: new MemoryLeafIndex(), signer }
  const log = await openLog(parts, { ...DEFAULTS, ...options })
  onTestFinished(() => log.close())
  return {
    name,
    origin,
    verifierKey: keys.verifierKey,
    keys: [{ verifierKey: keys.verifierKey, since: { treeSize: 0, timestampMs: 0 } }],
    rotations: '',
    treeHeadKey: Buffer.from(keys.treeHeadPublicKey, 'base64'),
    allowDuplicates: options.allowDuplicates ?? false,
    reads: 'public',
    heads: 'open',
    openWrites: true,
    log,
    failure: undefined,
    async add(...entries) {
      await log.append(entries.map(encodeUtf8))
    },
  }
}

/** The moment at which the clock of a test log stands. */
export const TEST_NOW_MS = 1_750_000_000_000

const DEFAULTS: LogOptions = {
  pool: {
    maxEntries: 100_000,
    maxBytes: 256 * 1024 * 1024,
    maxCommitEntries: 8192,
    maxCommitBytes: 64 * 1024 * 1024,
  },
  allowDuplicates: false,
  headIntervalMs: 3_600_000,
  cacheBytes: 4 * 1024 * 1024,
  nowMs: () => TEST_NOW_MS,
}

/** Keys that are the same in every run, and so no secret to anybody. */
function testKeys(origin: string): LogKeys {
  const key = generateSigningKey(
    origin,
    Uint8Array.from({ length: 32 }, (_, i) => i),
  )
  const scalar = Uint8Array.from({ length: 32 }, (_, i) => i + 1)
  const ecdh = createECDH('prime256v1')
  ecdh.setPrivateKey(scalar)
  const pkcs8 = formatPkcs8({ scalar, point: new Uint8Array(ecdh.getPublicKey()) })
  return {
    checkpointKey: formatSigningKey(key),
    treeHeadKey: ['BEGIN', 'END']
      .map((edge) => `-----${edge} PRIVATE KEY-----\n`)
      .join(`${toBase64(pkcs8)}\n`),
    verifierKey: formatVerifierKey(key.verifier),
    treeHeadPublicKey: toBase64(treeHeadSigner(pkcs8).spki),
  }
}

/** A head file without a disk. */
class MemoryHeadFile implements HeadFile {
  records: Uint8Array[] = []
  readonly intact = true

  async write(record: Uint8Array): Promise<void> {
    this.records = [record, ...this.records].slice(0, 2)
  }

  async close(): Promise<void> {}
}
