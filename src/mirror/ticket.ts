import { createHmac, timingSafeEqual } from 'node:crypto'
import { concatBytes } from '../bytes/bytes.ts'
import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'

/** Bytes of the secret that tickets are made with. */
export const TICKET_KEY_BYTES = 32
const TAG_BYTES = 32
/** A ticket travels with its length in 16 bits. */
const MAX_TICKET_BYTES = 65_535
/** Nothing else is ever authenticated with the key; the label keeps it so. */
const LABEL = encodeUtf8('stele mirror ticket 1\n')

/**
 * Tickets by which a mirror recognises a checkpoint that was pending once, and that it may have forgotten: the signed
 * note behind an HMAC-SHA-256. Not secret, for the note is not, but nobody else can make one.
 */
export class Tickets {
  readonly #key: Uint8Array

  /** @param key {@link TICKET_KEY_BYTES} random bytes, kept from start to start */
  constructor(key: Uint8Array) {
    this.#key = key
  }

  /** A ticket for a note that is or was pending; empty for one too long to travel. */
  issue(note: string): Uint8Array {
    const bytes = encodeUtf8(note)
    if (TAG_BYTES + bytes.length > MAX_TICKET_BYTES) return new Uint8Array(0)
    return concatBytes(this.#tag(bytes), bytes)
  }

  /** The note of a ticket that was issued with this key; undefined for anything else. */
  redeem(ticket: Uint8Array): string | undefined {
    if (ticket.length <= TAG_BYTES) return undefined
    const bytes = ticket.subarray(TAG_BYTES)
    if (!timingSafeEqual(ticket.subarray(0, TAG_BYTES), this.#tag(bytes))) return undefined
    return decodeUtf8(bytes, 'ticket')
  }

  #tag(bytes: Uint8Array): Uint8Array {
    return createHmac('sha256', this.#key).update(LABEL).update(bytes).digest()
  }
}
