import { expect, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import {
  CtConsistency,
  CtEntries,
  CtEntryAndProof,
  CtProofByHash,
  SignedTreeHead,
} from '../../src/http/schemas.ts'
import { asHash, leafHash, type Hash } from '../../src/merkle/hash.ts'
import { verifyConsistency, verifyInclusion } from '../../src/merkle/verify.ts'
import { parseGetSth } from '../../src/note/get-sth.ts'
import { treeHeadVerifier } from '../../src/note/tree-head.ts'
import { openTestLog, type TestLog } from '../support/log.ts'
import { serve, type TestServer } from './server.ts'

const CT = '/logs/demo/ct/v1'
const names = Array.from({ length: 25 }, (_, i) => `entry ${i}`)
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const hashes = (path: readonly string[]): Hash[] =>
  path.map((text) => asHash(new Uint8Array(Buffer.from(text, 'base64')), 'path'))

async function served(limits = {}): Promise<{ hosted: TestLog; server: TestServer; root: Hash }> {
  const hosted = await openTestLog()
  await hosted.add(...names)
  return { hosted, server: await serve([hosted], { limits }), root: hosted.log.published.root }
}

/** What get-entries gave, as text. */
async function entriesOf(server: TestServer, start: number, end: number): Promise<string[]> {
  const reply = await server.get(`${CT}/get-entries?start=${start}&end=${end}`)
  const { entries } = CtEntries.strict().parse(reply.json())
  return entries.map((entry) => Buffer.from(entry.leaf_input, 'base64').toString())
}

test('get-sth is the stored tree head, and its signature verifies with the log key', async () => {
  const { hosted, server, root } = await served()
  const reply = await server.get(`${CT}/get-sth`)
  const head = parseGetSth(SignedTreeHead.strict().parse(reply.json()))
  expect([head.size, head.root, base64(head.signature)]).toEqual([
    25,
    root,
    base64(hosted.log.published.treeHeadSignature),
  ])
  expect(() => treeHeadVerifier(hosted.treeHeadKey)(head)).not.toThrow()
  expect(reply.headers['cache-control']).toBe('no-cache')
})

test('get-sth of an empty log is a signed head of size 0', async () => {
  const server = await serve([await openTestLog()])
  expect((await server.get(`${CT}/get-sth`)).json()).toMatchObject({
    tree_size: 0,
    sha256_root_hash: '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
  })
})

test('get-sth-consistency verifies, and is an empty list from 0 and for equal sizes', async () => {
  const { server, root } = await served()
  const small = await openTestLog({ name: 'small' })
  await small.add(...names.slice(0, 11))
  const reply = await server.get(`${CT}/get-sth-consistency?first=11&second=25`)
  const path = hashes(CtConsistency.strict().parse(reply.json()).consistency)
  verifyConsistency({ oldSize: 11, newSize: 25, oldRoot: small.log.published.root, newRoot: root, path })
  expect(reply.headers['cache-control']).toBe('public, max-age=86400')
  for (const query of ['first=0&second=25', 'first=25&second=25', 'first=0&second=0']) {
    expect((await server.get(`${CT}/get-sth-consistency?${query}`)).text).toBe('{"consistency":[]}')
  }
})

test('get-proof-by-hash verifies, also for a hash whose "+" was not escaped', async () => {
  const { server, root } = await served()
  let plus = 0
  for (const [index, name] of names.entries()) {
    const leaf = leafHash(encodeUtf8(name))
    const text = base64(leaf)
    if (text.includes('+')) plus++
    for (const hash of [encodeURIComponent(text), text]) {
      const proof = CtProofByHash.strict().parse(
        (await server.get(`${CT}/get-proof-by-hash?tree_size=25&hash=${hash}`)).json(),
      )
      expect(proof.leaf_index).toBe(index)
      verifyInclusion({ index, size: 25, leaf, path: hashes(proof.audit_path), root })
    }
  }
  expect(plus).toBeGreaterThan(0)
  const only = encodeURIComponent(base64(leafHash(encodeUtf8(names[0]!))))
  expect((await server.get(`${CT}/get-proof-by-hash?tree_size=1&hash=${only}`)).text).toBe(
    '{"leaf_index":0,"audit_path":[]}',
  )
})

test('get-entries gives both ends, and fewer when the tree ends before', async () => {
  const { server } = await served()
  expect(await entriesOf(server, 3, 5)).toEqual(names.slice(3, 6))
  expect(await entriesOf(server, 24, 24)).toEqual(names.slice(24))
  expect(await entriesOf(server, 20, Number.MAX_SAFE_INTEGER)).toEqual(names.slice(20))
})

test('a page of get-entries that hits the limit ends at a multiple of it', async () => {
  const { server } = await served({ pageEntries: 10 })
  expect(await entriesOf(server, 0, 24)).toEqual(names.slice(0, 10))
  expect(await entriesOf(server, 7, 24)).toEqual(names.slice(7, 10))
  expect(await entriesOf(server, 7, 16)).toEqual(names.slice(7, 17))
  expect(await entriesOf(server, 10, 24)).toEqual(names.slice(10, 20))
  const read: string[] = []
  while (read.length < 25) read.push(...(await entriesOf(server, read.length, 24)))
  expect(read).toEqual(names)
})

test('full pages of get-entries may be kept, one that the tree cut short only for a moment', async () => {
  const { server } = await served({ pageEntries: 10 })
  const keeping = async (start: number, end: number): Promise<string | undefined> =>
    (await server.get(`${CT}/get-entries?start=${start}&end=${end}`)).headers['cache-control']
  expect(await keeping(0, 9)).toBe('public, max-age=86400')
  expect(await keeping(3, 400)).toBe('public, max-age=86400')
  expect(await keeping(20, 24)).toBe('public, max-age=86400')
  expect(await keeping(20, 25)).toBe('public, max-age=2')
})

test('get-entry-and-proof gives an entry with a proof that verifies', async () => {
  const { server, root } = await served()
  const reply = await server.get(`${CT}/get-entry-and-proof?leaf_index=6&tree_size=25`)
  const { leaf_input, extra_data, audit_path } = CtEntryAndProof.strict().parse(reply.json())
  expect([Buffer.from(leaf_input, 'base64').toString(), extra_data]).toEqual(['entry 6', ''])
  verifyInclusion({
    index: 6,
    size: 25,
    leaf: leafHash(encodeUtf8('entry 6')),
    path: hashes(audit_path),
    root,
  })
})

test('parameters that RFC 6962 does not know are ignored, even repeated', async () => {
  const { server } = await served()
  expect((await server.get(`${CT}/get-sth?x=1&x=2`)).status).toBe(200)
  expect((await server.get(`${CT}/get-entries?start=0&end=0&x=1&x=2`)).status).toBe(200)
})
