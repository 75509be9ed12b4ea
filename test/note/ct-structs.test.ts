import { expect, test } from 'vitest'
import { parseBase64, toBase64 } from '../../src/bytes/base64.ts'
import { toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { asHash, leafHash } from '../../src/merkle/hash.ts'
import {
  certificateChain,
  leafIndexExtension,
  merkleTreeLeaf,
  precertificateChain,
} from '../../src/note/ct-structs.ts'
import structs from '../vectors/gen-ct-structs.json' with { type: 'json' }

const base64 = (text: string | undefined): Uint8Array => parseBase64(text!, 'test')
const named = (name: string) => structs.cases.find((c) => c.name.startsWith(name))!

test('a certificate as a leaf', () => {
  const c = named('x509 MerkleTreeLeaf')
  const leaf = merkleTreeLeaf({
    timestampMs: Number(c.timestamp_ms),
    entry: { kind: 'x509', certificate: base64(c.certificate_der_base64) },
  })
  expect(toBase64(leaf)).toBe(c.leaf_input_base64)
  expect(toBase64(leafHash(leaf))).toBe(c.leaf_hash_base64)
  // An SCT is signed over the same bytes.
  expect(toHex(leaf)).toBe(named('SCT signature input').hex)
})

test('a precertificate as a leaf', () => {
  const c = named('precert MerkleTreeLeaf')
  const leaf = merkleTreeLeaf({
    timestampMs: Number(c.timestamp_ms),
    entry: {
      kind: 'precert',
      issuerKeyHash: asHash(base64(c.issuer_key_hash_base64), 'test'),
      tbsCertificate: base64(c.tbs_base64),
    },
  })
  expect(toBase64(leaf)).toBe(c.leaf_input_base64)
  expect(toBase64(leafHash(leaf))).toBe(c.leaf_hash_base64)
})

test('the extra data of entries', () => {
  const x509 = named('extra_data of an x509 entry')
  expect(toBase64(certificateChain(x509.chain_base64!.map(base64)))).toBe(x509.extra_data_base64)
  const precert = named('extra_data of a precert entry')
  const chain = precert.chain_base64!.map(base64)
  expect(toBase64(precertificateChain(base64(precert.pre_certificate_base64), chain))).toBe(
    precert.extra_data_base64,
  )
  expect(toBase64(certificateChain([]))).toBe(named('extra_data with an empty chain').extra_data_base64)
})

test('the leaf index as an extension', () => {
  const c = named('static-ct leaf_index extension')
  expect(toBase64(leafIndexExtension(Number(c.index)))).toBe(c.extensions_base64)
  expect(toBase64(leafIndexExtension(7))).toBe('AAAFAAAAAAc=')
  expect(leafIndexExtension(2 ** 40 - 1)).toHaveLength(8)
  expect(() => leafIndexExtension(2 ** 40)).toThrow('internal error')
})

test('the published example: the certificate "DER"', () => {
  const leaf = merkleTreeLeaf({
    timestampMs: 1_750_000_000_000,
    entry: { kind: 'x509', certificate: encodeUtf8('DER') },
  })
  expect(toHex(leaf)).toBe('0000000001977420dc0000000000034445520000')
  expect(toBase64(leafHash(leaf))).toBe('sDPVIUIxHp39IOr46TMKOszwqZbWop9jXMIJ14fJm0Y=')
})

test('extensions stand at the end of a leaf', () => {
  const leaf = merkleTreeLeaf({
    timestampMs: 0,
    entry: { kind: 'x509', certificate: new Uint8Array(1) },
    extensions: leafIndexExtension(7),
  })
  expect(toHex(leaf)).toBe(`0000${'00'.repeat(8)}00000000010000080000050000000007`)
})
