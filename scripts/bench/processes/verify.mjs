// Verifies one proof file for a while, and does the raw cryptography of it for as long: one Ed25519 verification and the
// hashes of the path.
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'
import {
  formatCheckpoint,
  formatProofFile,
  formatVerifierKey,
  generateSigningKey,
  inclusionRanges,
  leafHash,
  rootFromInclusion,
  signNote,
} from '../lib/stele.mjs'

/** @type {{ client: string, portable: boolean, leaves: number, seconds: number }} */
const task = JSON.parse(process.argv[2])
const { verifyProofFile } = await import(task.client)

const ENTRY = randomBytes(300)
const signer = generateSigningKey('bench.example/log')
const index = Math.floor(task.leaves / 3)
const path = inclusionRanges(index, task.leaves).map(() => new Uint8Array(randomBytes(32)))
const root = rootFromInclusion({ index, size: task.leaves, leaf: leafHash(ENTRY), path })
const text = formatCheckpoint({ origin: signer.name, size: task.leaves, root })
const proof = formatProofFile({ index, path, checkpoint: await signNote(text, [signer]) })
// As a program has it that verifies one proof now and then: as text.
const check = { proof, entry: ENTRY, origin: signer.name, verifierKeys: [formatVerifierKey(signer.verifier)] }

const perSecond = rateOf(() => {
  if (verifyProofFile(check).verdict !== 'verified') throw new Error('not verified')
})
process.stdout.write(`${JSON.stringify({ perSecond, rawPerSecond: rateOf(rawWork()) })}\n`)

function rawWork() {
  const message = Buffer.from(text)
  const { publicKey } = signer.verifier
  const signature = signer.sign(message)
  const node = randomBytes(65)
  const isGood = task.portable ? portableVerify : platformVerify(publicKey)
  const hash = task.portable ? nobleSha256 : (bytes) => createHash('sha256').update(bytes).digest()
  return () => {
    if (!isGood(signature, message, publicKey)) throw new Error('not verified')
    for (let i = 0; i < path.length; i++) hash(node)
    hash(ENTRY)
  }
}

function portableVerify(signature, message, publicKey) {
  return ed25519.verify(signature, message, publicKey)
}

function platformVerify(publicKey) {
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') },
    format: 'jwk',
  })
  return (signature, message) => verify(null, message, key, signature)
}

function rateOf(work) {
  for (const endMs = performance.now() + 200; performance.now() < endMs;) work()
  const startedMs = performance.now()
  let count = 0
  while (performance.now() - startedMs < task.seconds * 1000) {
    work()
    count++
  }
  return (count / (performance.now() - startedMs)) * 1000
}
