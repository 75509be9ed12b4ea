/**
 * Items of a policy are octets (c2sp.org/tlog-policy, character set): names are compared as such, and need not be UTF-8.
 * Here they are strings all the same, since keys, URLs and messages are: an item that is UTF-8 is its text, and in any
 * other each octet from 0x80 on is a lone surrogate, U+DC80 to U+DCFF. No UTF-8 decodes to one of those, so two items are
 * the same octets exactly if they are the same string.
 */
import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { hasCode } from '../errors.ts'

const ESCAPE = 0xdc00

/** An item's octets as a string. */
export function decodeItem(octets: Uint8Array): string {
  try {
    return decodeUtf8(octets, 'item')
  } catch (error) {
    if (!hasCode(error, 'malformed')) throw error
    return Array.from(octets, (octet) => String.fromCharCode(octet < 0x80 ? octet : ESCAPE + octet)).join('')
  }
}

/** Inverse of {@link decodeItem}. @throws SteleError `malformed` for a string that stands for no octets */
export function encodeItem(item: string): Uint8Array {
  const isBytewise = /^[\0-\x7f\udc80-\udcff]*$/.test(item)
  return isBytewise ? Uint8Array.from(item, (char) => char.charCodeAt(0) % 256) : encodeUtf8(item)
}

/** An item as an error message may show it: quoted, cut short, and with nothing in it that cannot be seen. */
export function showItem(item: string): string {
  return excerpt(item).replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`,
  )
}
