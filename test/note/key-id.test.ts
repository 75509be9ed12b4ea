import { expect, test } from 'vitest'
import { checkKeyName, formatKeyId, isKeyType } from '../../src/note/key-id.ts'
import { codeOf, expectCode } from './expect-code.ts'

test('white space in key names is what Unicode calls so: no more and no less', () => {
  // 09-0D 20 85 A0 1680 2000-200A 2028 2029 202F 205F 3000
  const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)
  const single = [0x20, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]
  const whiteSpace = [...range(0x09, 0x0d), ...range(0x2000, 0x200a), ...single]
  const refused = new Set([...range(0, 0x1f), ...whiteSpace, '+'.charCodeAt(0), ...range(0xd800, 0xdfff)])
  const wrong: number[] = []
  for (let unit = 0; unit <= 0xffff; unit++) {
    // A byte order mark or a surrogate pair is no white space.
    const isRefused = codeOf(() => checkKeyName(`a${String.fromCharCode(unit)}b`, 'test')) === 'malformed'
    if (isRefused !== refused.has(unit)) wrong.push(unit)
  }
  expect(wrong).toEqual([])
})

test('an empty key name is refused, one beyond the first plane is not', () => {
  expectCode(() => checkKeyName('', 'test'), 'malformed')
  checkKeyName('log.example/\u{1F5FF}', 'test')
})

test('key IDs are shown as eight digits', () => {
  expect([formatKeyId(0), formatKeyId(0x0a), formatKeyId(0xffffffff)]).toEqual([
    '00000000',
    '0000000a',
    'ffffffff',
  ])
})

test('only assigned type bytes are known', () => {
  const known = Array.from({ length: 256 }, (_, byte) => byte).filter(isKeyType)
  expect(known).toEqual([1, 2, 4, 5, 6])
  expect(isKeyType(undefined)).toBe(false)
})
