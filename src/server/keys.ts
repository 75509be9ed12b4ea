import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { toBase64, parseBase64 } from '../bytes/base64.ts'
import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import type { Head, SignedHead } from '../log/head.ts'
import type { HeadSigner } from '../log/signer.ts'
import { formatCheckpoint, openCheckpoint } from '../note/checkpoint.ts'
import {
  formatSigningKey,
  formatVerifierKey,
  generateSigningKey,
  parseSigningKey,
  parseVerifierKey,
} from '../note/key.ts'
import { signNote } from '../note/note.ts'
import { treeHeadSigner, treeHeadVerifier } from '../note/tree-head.ts'

/** The keys of one log, as texts for files. */
export interface LogKeys {
  /** Ed25519, signs checkpoints; Go's note format. Secret. */
  readonly checkpointKey: string
  /** P-256, signs RFC 6962 tree heads; PKCS #8 in PEM. Secret. */
  readonly treeHeadKey: string
  /** Public counterpart of the first, `name+hash+base64`. */
  readonly verifierKey: string
  /** Public counterpart of the second: SubjectPublicKeyInfo DER in base64. */
  readonly treeHeadPublicKey: string
}

/** Fresh keys for a log. @throws SteleError `malformed` for an origin that is not a key name */
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

/**
 * The keys of a log out of the private ones alone.
 *
 * @param checkpointKey Ed25519, Go's note format
 * @param treeHeadKey P-256, PKCS #8 in PEM
 * @throws SteleError `malformed`; the message never repeats any of the secret
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
 * Checks that private keys belong to the public ones that a log was announced with.
 *
 * @param where names the log in error messages
 * @throws SteleError `wrong_key`, `malformed`
 */
export function checkKeyPair(keys: LogKeys, where: string): void {
  const verifierKey = formatVerifierKey(parseSigningKey(keys.checkpointKey).verifier)
  if (verifierKey !== keys.verifierKey) {
    throw new SteleError(
      'wrong_key',
      `${where}: expected the private key of ${keys.verifierKey}, got ${verifierKey}'s`,
    )
  }
  const { spki } = treeHeadSigner(pkcs8Of(keys.treeHeadKey))
  if (!equalBytes(spki, parseBase64(keys.treeHeadPublicKey, where))) {
    throw new SteleError('wrong_key', `${where}: the tree head key is not the one that log.json announces`)
  }
}

/** Signs heads with keys held in memory: the plain implementation of a seam where a KMS or HSM can stand. */
export function keySigner(origin: string, keys: LogKeys): HeadSigner {
  const key = parseSigningKey(keys.checkpointKey)
  const treeHead = treeHeadSigner(pkcs8Of(keys.treeHeadKey))
  return {
    async sign(head: Head): Promise<SignedHead> {
      const text = formatCheckpoint({ origin, size: head.size, root: head.root })
      const checkpoint = await signNote(text, [key])
      return { ...head, checkpoint, treeHeadSignature: treeHead.sign(head).signature }
    },
    verify: headVerifier({ origin, verifierKey: keys.verifierKey, treeHeadKey: keys.treeHeadPublicKey }),
  }
}

/**
 * Prepares the check of both signatures of a log's heads, with its public keys alone.
 *
 * @returns what `HeadSigner.verify` is
 */
export function headVerifier(log: {
  readonly origin: string
  readonly verifierKey: string
  readonly treeHeadKey: string
}): (head: SignedHead) => void {
  const { origin } = log
  const verifiers = [parseVerifierKey(log.verifierKey)]
  const verifyTreeHead = treeHeadVerifier(parseBase64(log.treeHeadKey, 'tree head key'))
  return (head) => {
    const { checkpoint } = openCheckpoint(head.checkpoint, { origin, verifiers })
    if (checkpoint.size !== head.size || !equalBytes(checkpoint.root, head.root)) {
      throw new SteleError(
        'corrupt',
        `log ${origin}: a stored head and its checkpoint speak of different trees`,
      )
    }
    verifyTreeHead({ ...head, signature: head.treeHeadSignature })
  }
}

function pkcs8Of(pem: string): Uint8Array {
  try {
    return new Uint8Array(createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' }))
  } catch {
    // Not handed on: OpenSSL's message may quote its input.
    throw new SteleError('malformed', 'tree head key: expected a P-256 private key, PKCS #8 in PEM')
  }
}
