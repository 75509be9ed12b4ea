import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { toBase64, parseBase64 } from '../bytes/base64.ts'
import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import type { Head, SignedHead } from '../log/head.ts'
import type { HeadSigner } from '../log/signer.ts'
import { formatCheckpoint, openCheckpoint } from '../note/checkpoint.ts'
import { CosignerKey, cosigningSigner, parseCosignerKey } from '../note/cosigner.ts'
import { formatKeyId, KEY_TYPE } from '../note/key-id.ts'
import {
  formatSigningKey,
  formatVerifierKey,
  generateSigningKey,
  parseSigningKey,
  parseVerifierKey,
  type SigningKey,
} from '../note/key.ts'
import { signNote, type NoteSigner } from '../note/note.ts'
import { parseSkey } from '../note/skey.ts'
import { treeHeadSigner, treeHeadVerifier } from '../note/tree-head.ts'
import { activeKeys, changedMs, keysAt, type KeyTimes } from './key-times.ts'

/** The keys of one log, in the text form of their files. */
export interface LogKeys {
  /** Ed25519, signs checkpoints; Go's note format. Secret. */
  readonly checkpointKey: string
  /** P-256, signs RFC 6962 tree heads; PKCS #8 in PEM. Secret. */
  readonly treeHeadKey: string
  /** Public key of `checkpointKey`, `name+hash+base64`. */
  readonly verifierKey: string
  /** Public key of `treeHeadKey`: SubjectPublicKeyInfo DER in base64. */
  readonly treeHeadPublicKey: string
}

/**
 * Makes new keys for a log. Their private halves are secret: who has them can sign for the log.
 *
 * @throws SteleError `malformed` for an origin that is not a key name: empty, or with a space or a plus sign
 */
export async function generateLogKeys(origin: string): Promise<LogKeys> {
  const key = generateSigningKey(origin)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const treeHeadKey = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  return {
    checkpointKey: formatSigningKey(key),
    treeHeadKey,
    verifierKey: formatVerifierKey(key.verifier),
    treeHeadPublicKey: toBase64(treeHeadSigner(pkcs8Of(treeHeadKey)).spki),
  }
}

/** The public keys of a log, with their times. */
export interface PublicKeys {
  readonly origin: string
  readonly keys: readonly KeyTimes[]
  /** SubjectPublicKeyInfo, DER, in base64. */
  readonly treeHeadKey: string
}

/** The private keys that sign a log's next head. */
export interface PrivateKeys {
  /** One for each key that is not retired, in the order of `log.json`. Secret. */
  readonly checkpointKeys: readonly string[]
  /** P-256; PKCS #8 in PEM. Secret. */
  readonly treeHeadKey: string
}

/**
 * Derives all keys of a log from its private keys.
 *
 * @param checkpointKey Ed25519, Go's note format
 * @param treeHeadKey P-256, PKCS #8 in PEM
 * @throws SteleError `malformed`; the message never contains any part of the secret
 */
export function logKeysOf(checkpointKey: string, treeHeadKey: string): LogKeys {
  return {
    checkpointKey,
    treeHeadKey,
    verifierKey: formatVerifierKey(parseSigningKey(checkpointKey).verifier),
    treeHeadPublicKey: toBase64(treeHeadSigner(pkcs8Of(treeHeadKey)).spki),
  }
}

/**
 * Checks that private keys belong to the public keys of a log.
 *
 * @param where names the log in error messages
 * @throws SteleError `wrong_key`, `malformed`
 */
export function checkKeyPairs(log: PublicKeys, secret: PrivateKeys, where: string): void {
  const expected = activeKeys(log.keys)
  secret.checkpointKeys.forEach((skey, i) => {
    const found = formatVerifierKey(parseCheckpointKey(skey).verifier)
    const wanted = expected[i]?.verifierKey
    if (found === wanted) return
    throw new SteleError('wrong_key', `${where}: expected the private key of ${wanted}, got ${found}'s`)
  })
  const { spki } = treeHeadSigner(pkcs8Of(secret.treeHeadKey))
  if (!equalBytes(spki, parseBase64(log.treeHeadKey, where))) {
    throw new SteleError('wrong_key', `${where}: the tree head key is not the one that log.json announces`)
  }
}

/**
 * Signs the heads of a log that has one key for its checkpoints, with keys held in memory.
 *
 * @throws SteleError `malformed` for keys that are none; the message never repeats any of the secret
 */
export function keySigner(origin: string, keys: LogKeys): HeadSigner {
  const since = { timestampMs: 0 }
  return headSigner(
    { origin, keys: [{ verifierKey: keys.verifierKey, since }], treeHeadKey: keys.treeHeadPublicKey },
    { checkpointKeys: [keys.checkpointKey], treeHeadKey: keys.treeHeadKey },
  )
}

/** Signs heads with keys in memory. A KMS or HSM can take its place. */
export function headSigner(log: PublicKeys, secret: PrivateKeys): HeadSigner {
  const keys = secret.checkpointKeys.map(parseCheckpointKey)
  const treeHead = treeHeadSigner(pkcs8Of(secret.treeHeadKey))
  return {
    sinceMs: changedMs(log.keys),
    async sign(head: Head): Promise<SignedHead> {
      const text = formatCheckpoint({ origin: log.origin, size: head.size, root: head.root })
      const checkpoint = await signNote(
        text,
        keys.map((key) => noteSigner(key, head.timestampMs)),
      )
      return { ...head, checkpoint, treeHeadSignature: treeHead.sign(head).signature }
    },
    verify: headVerifier(log),
  }
}

/**
 * Reads a private key that signs checkpoints: Ed25519 (0x01) or ML-DSA-44 (0x06).
 *
 * @throws SteleError `malformed`; the message never contains any part of the secret
 */
export function parseCheckpointKey(skey: string): SigningKey | CosignerKey {
  const { type } = parseSkey(skey, [KEY_TYPE.ed25519, KEY_TYPE.mlDsa44Cosignature])
  return type === KEY_TYPE.ed25519 ? parseSigningKey(skey) : parseCosignerKey(skey)
}

/** A signer for one head. An ML-DSA-44 line states a time: that of the head, in seconds. */
function noteSigner(key: SigningKey | CosignerKey, timestampMs: number): NoteSigner {
  // 0 would state that this is not the largest tree. A test's clock may be 0.
  if (key instanceof CosignerKey)
    return cosigningSigner(key, () => Math.max(1, Math.floor(timestampMs / 1000)))
  return key
}

/**
 * Makes a function that checks all signatures of a head with the log's public keys alone. A head must have a line by
 * every key that signs at its time.
 *
 * @returns the function for `HeadSigner.verify`
 */
export function headVerifier({ origin, keys, treeHeadKey }: PublicKeys): (head: SignedHead) => void {
  const verifiers = new Map(keys.map(({ verifierKey }) => [verifierKey, parseVerifierKey(verifierKey)]))
  const verifyTreeHead = treeHeadVerifier(parseBase64(treeHeadKey, 'tree head key'))
  return (head) => {
    const expected = keysAt(keys, head.timestampMs).map(({ verifierKey }) => verifiers.get(verifierKey)!)
    const { checkpoint, verifiedBy } = openCheckpoint(head.checkpoint, { origin, verifiers: expected })
    const missing = expected.find((key) => !verifiedBy.includes(key))
    if (missing) {
      throw new SteleError(
        'untrusted_signer',
        `log ${origin}: a head of size ${head.size} lacks the line by ${missing.name}+${formatKeyId(missing.id)}`,
      )
    }
    if (checkpoint.size !== head.size || !equalBytes(checkpoint.root, head.root)) {
      throw new SteleError(
        'corrupt',
        `log ${origin}: a stored head and its checkpoint speak of different trees`,
      )
    }
    verifyTreeHead({ ...head, signature: head.treeHeadSignature })
  }
}

/** The public half of a tree head key, SubjectPublicKeyInfo in DER. @throws SteleError `malformed` */
export function treeHeadKeyOf(pem: string): Uint8Array {
  return treeHeadSigner(pkcs8Of(pem)).spki
}

function pkcs8Of(pem: string): Uint8Array {
  try {
    return new Uint8Array(createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' }))
  } catch {
    // The cause is dropped: OpenSSL's message may quote its input.
    throw new SteleError('malformed', 'tree head key: expected a P-256 private key, PKCS #8 in PEM')
  }
}
