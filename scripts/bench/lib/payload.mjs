// Entries to append: each 300 bytes, each unlike every other, and the same ones again for the same seed.
import { createCipheriv } from 'node:crypto'

export const ENTRY_BYTES = 300

const NOISE_BYTES = 8 * 1024 * 1024
/** A prime, so that neighbours in a log have no noise in common. */
const STRIDE = 611_953

/**
 * @typedef {'random' | 'audit'} Kind random: nothing in it compresses, as with sealed or compressed payloads;
 *   audit: a line of JSON such as audit trails hold, which compresses to about a third
 */

/**
 * Makes entries by their number.
 *
 * @param {Kind} kind
 * @param {string} seed
 * @returns {(number: number) => Buffer} an entry of its own each time
 */
export function entries(kind, seed) {
  return kind === 'audit' ? auditLines(seed) : randomEntries(seed)
}

function randomEntries(seed) {
  const noise = noiseOf(seed)
  return (number) => {
    const entry = Buffer.allocUnsafe(ENTRY_BYTES)
    const from = (number * STRIDE) % (NOISE_BYTES - ENTRY_BYTES)
    noise.copy(entry, 0, from, from + ENTRY_BYTES)
    entry.writeDoubleBE(number, 0)
    return entry
  }
}

const ACTIONS = ['session.open', 'session.close', 'auth.failed', 'file.read', 'policy.change', 'key.rotate']
const SERVICES = ['sshd', 'vault', 'billing-api', 'object-store']
/** Lines that are made once; an entry is a copy of one with a number of its own, or making it would cost more than storing. */
const LINES = 16_384
const NUMBER_DIGITS = 12
/** Behind `{"id":"`. */
const NUMBER_AT = 7

function auditLines(seed) {
  const noise = noiseOf(seed)
  const lines = Array.from({ length: LINES }, (_, n) =>
    auditLine(noise.subarray(n * 16, n * 16 + 16), n, seed),
  )
  return (number) => {
    const entry = Buffer.allocUnsafe(ENTRY_BYTES)
    lines[number % LINES].copy(entry)
    let rest = number
    for (let at = NUMBER_AT + NUMBER_DIGITS - 1; at >= NUMBER_AT; at--) {
      entry[at] = 0x30 + (rest % 10)
      rest = Math.floor(rest / 10)
    }
    return entry
  }
}

function auditLine(random, n, seed) {
  const [a, b, c, d] = random
  const line = {
    id: '0'.repeat(NUMBER_DIGITS),
    time: new Date(1_700_000_000_000 + n * 37_021).toISOString(),
    action: ACTIONS[a % ACTIONS.length],
    actor: { id: `u-${b * 7 + a}`, address: `10.${b}.${c}.${d}` },
    service: SERVICES[c % SERVICES.length],
    target: `/tenants/${d}/objects/${n}`,
    outcome: d % 11 === 0 ? 'denied' : 'allowed',
    run: seed,
    request: random.toString('hex'),
    detail: '',
  }
  const missing = ENTRY_BYTES - JSON.stringify(line).length
  return Buffer.from(JSON.stringify({ ...line, detail: 'accepted by rule '.repeat(9).slice(0, missing) }))
}

/** Bytes without a pattern, the same for the same seed. */
function noiseOf(seed) {
  const key = Buffer.alloc(16)
  key.write(seed)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(NOISE_BYTES))
}
