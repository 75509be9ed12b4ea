import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { concatBytes } from '../../src/bytes/bytes.ts'
import type { SteleError } from '../../src/errors.ts'
import { sha256 } from '../../src/merkle/hash.ts'
import { ByteReader, packagePlaces, readHeader, readPackage } from '../../src/mirror/packages.ts'
import { decodeRecord, encodeRecord } from '../../src/mirror/record.ts'
import { Tickets } from '../../src/mirror/upload.ts'
import { headerOf, sized } from './fixture.ts'

const text = fc.string({ minLength: 1, unit: 'binary' })
const seen = fc.record({ note: text, seenAtMs: fc.maxSafeNat(), isServed: fc.boolean() })
const record = fc.record({
  root: fc.uint8Array({ minLength: 0, maxLength: 40 }).map(sha256),
  cosigned: fc.maxSafeNat(),
  pending: fc.array(seen, { maxLength: 9 }),
  mirrored: fc.option(text, { nil: undefined }),
  followed: fc.option(seen, { nil: undefined }),
})

/** Hands bytes out in pieces of these sizes. */
function inPieces(bytes: Uint8Array, sizes: readonly number[]): ByteReader {
  let [at, i] = [0, 0]
  return new ByteReader(async () => {
    if (at >= bytes.length) return undefined
    const piece = bytes.subarray(at, at + (sizes[i++ % sizes.length] ?? 1))
    at += piece.length
    return piece
  })
}

const pieces = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 })

test('a record is read back as it was written, and none that was cut or grew is read', () => {
  fc.assert(
    fc.property(record, fc.nat(), (written, at) => {
      const bytes = encodeRecord(written)
      expect(decodeRecord(bytes, 'test')).toEqual(written)
      const cut = bytes.subarray(0, 1 + (at % (bytes.length - 1)))
      expect(() => decodeRecord(cut, 'test')).toThrow(expect.objectContaining({ code: 'corrupt' }))
      const longer = concatBytes(bytes, Uint8Array.of(0))
      expect(() => decodeRecord(longer, 'test')).toThrow(expect.objectContaining({ code: 'corrupt' }))
    }),
  )
  expect(() => decodeRecord(Uint8Array.of(2), 'test')).toThrow(
    expect.objectContaining({ code: 'foreign_format' }),
  )
})

test('an upload reads the same in whatever pieces it comes', async () => {
  const entries = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 9 })
  await fc.assert(
    fc.asyncProperty(
      text,
      entries,
      fc.uint8Array({ maxLength: 80 }),
      pieces,
      async (origin, sent, ticket, sizes) => {
        const end = BigInt(sent.length)
        const hash = sha256(ticket)
        const body = concatBytes(
          headerOf(origin, 0n, end, ticket),
          ...sent.map(sized),
          Uint8Array.of(1),
          hash,
        )
        const reader = inPieces(body, sizes)
        expect(await readHeader(reader)).toEqual({ origin, start: 0n, end, ticket })
        const [place] = packagePlaces(0, sent.length)
        expect(await readPackage(reader, place!)).toEqual({ ...place, entries: sent, path: [hash] })
      },
    ),
  )
})

test('whatever bytes come, they are read or refused as malformed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), pieces, async (bytes, sizes) => {
      for (const read of [
        readHeader,
        (reader: ByteReader) => readPackage(reader, [...packagePlaces(250, 256)][0]!),
      ]) {
        const failure: unknown = await read(inPieces(bytes, sizes)).then(
          () => undefined,
          (error: unknown) => error,
        )
        if (failure !== undefined) expect((failure as SteleError).code).toBe('malformed')
      }
    }),
  )
})

test('packages cover the range without a gap, each within its bundle', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 0, max: 3000 }), (a, b) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)]
      let at = start
      for (const place of packagePlaces(start, end)) {
        expect(place.begin).toBe(at)
        expect(place.subtreeBegin % 256).toBe(0)
        expect(place.begin - place.subtreeBegin).toBeLessThan(256)
        expect(place.end - place.subtreeBegin).toBeLessThanOrEqual(256)
        at = place.end
      }
      expect(at).toBe(end)
    }),
  )
})

test('only tickets of the same key are redeemed, and only as they were issued', () => {
  const [ours, theirs] = [1, 2].map((seed) => new Tickets(new Uint8Array(32).fill(seed)))
  fc.assert(
    fc.property(text, fc.nat(), fc.integer({ min: 1, max: 255 }), (note, at, flip) => {
      const ticket = ours!.issue(note)
      expect(ours!.redeem(ticket)).toBe(note)
      expect(theirs!.redeem(ticket)).toBeUndefined()
      ticket[at % ticket.length]! ^= flip
      expect(ours!.redeem(ticket)).toBeUndefined()
    }),
  )
  expect(ours!.redeem(new Uint8Array(0))).toBeUndefined()
  expect(ours!.issue('x'.repeat(65_535))).toHaveLength(0)
})
