import { describe, expect, test } from 'vitest'
import { acceptsGzip, prefersOver } from '../../src/http/accept.ts'

describe('preference between two media types', () => {
  const prefersText = (accept?: string): boolean => prefersOver(accept, 'application/json', 'text/plain')

  test('without a word for the other one, the standard one is sent', () => {
    for (const accept of [
      undefined,
      '*/*',
      'application/json',
      'application/json, text/plain',
      '',
      'nonsense;;',
    ]) {
      expect([accept, prefersText(accept)]).toEqual([accept, false])
    }
  })

  test('the other one is sent to whoever says so', () => {
    for (const accept of [
      'text/plain',
      'TEXT/PLAIN',
      'text/*',
      'text/plain, */*;q=0.5',
      'application/json;q=0.1,text/plain',
    ]) {
      expect([accept, prefersText(accept)]).toEqual([accept, true])
    }
  })
})

test('gzip is for those who accept it, and a weight of zero is a no', () => {
  for (const header of ['gzip', 'deflate, gzip;q=0.5', '*', 'GZIP']) expect(acceptsGzip(header)).toBe(true)
  for (const header of [undefined, '', 'identity', 'gzip;q=0', 'br', '*;q=0', 'gzip;q=0, *']) {
    expect([header, acceptsGzip(header)]).toEqual([header, false])
  }
})
