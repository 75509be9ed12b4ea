import { timingSafeEqual } from 'node:crypto'
import { SteleError } from '../errors.ts'
import { parseAddressSet, type AddressSet } from './address.ts'
import { generateApiKey, hashOfKey, type ApiKey, type ReadKey } from './api-key.ts'
import type { Caller, Grant, LogScope } from './caller.ts'
import { infoOf, stateOf, type KeyInfo, type KeyRecord } from './key-record.ts'
import { redact } from './redact.ts'
import { GRANTABLE, type Role } from './role.ts'
import { accessState, type AccessState } from './state.ts'

/** Something that changes who may do what. */
export interface KeyAct {
  readonly act: 'key_create' | 'key_rotate' | 'key_revoke' | 'provisioning_replace'
  /** Key id, or name of the command. */
  readonly by: string
  /** What was and what is to be, of the keys that change; never a secret nor its hash. */
  readonly before: readonly KeyInfo[]
  readonly after: readonly KeyInfo[]
  readonly state: AccessState
}

/** What keeps the keys. */
export interface KeyringParts {
  /**
   * Writes down what is about to happen, durably, and then makes it the stored state. If it rejects, nothing changes
   * in memory.
   */
  readonly apply: (act: KeyAct) => Promise<void>
  readonly nowMs: () => number
}

/** What somebody wants a key to be. */
export interface NewKey {
  readonly role: Role
  readonly logs: LogScope
  readonly label: string
  readonly expiresAt?: string | undefined
  readonly addresses?: readonly string[] | undefined
  readonly requestsPerSecond?: number | undefined
}

/** A key that was made: the text is shown now and never again. */
export interface MadeKey {
  readonly key: string
  readonly info: KeyInfo
}

/** Who makes keys: somebody with grants, or somebody at the machine itself, who could also edit the file. */
export type Maker = { readonly id: string; readonly grants: readonly Grant[] | 'host' }

/** How long a key is valid when nobody says otherwise. */
export const DEFAULT_KEY_DAYS = 90
const DAY_MS = 86_400_000

/** A key that exists and lets its holder in no more, or not from there: whose it is was proven by its secret. */
export class KeyRefused extends SteleError {
  readonly caller: Caller

  constructor(caller: Caller, why: string) {
    super('unauthenticated', `API key ${caller.id}: ${why}`)
    this.caller = caller
  }
}

interface Held {
  readonly record: KeyRecord
  readonly digest: Uint8Array
  readonly grants: readonly Grant[]
  readonly addresses: AddressSet | undefined
}

/** Owner of the API keys of an instance: who has one, and what it is good for at this moment. */
export class Keyring {
  readonly #parts: KeyringParts
  #state: AccessState
  #held: ReadonlyMap<string, Held>
  /** Changes happen one after another: each builds on the state that the one before left. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(state: AccessState, parts: KeyringParts) {
    this.#parts = parts
    this.#state = state
    this.#held = heldOf(state)
  }

  get state(): AccessState {
    return this.#state
  }

  /**
   * Who holds a key, and comes from this address with it.
   *
   * @throws SteleError `unauthenticated`: unknown, revoked, expired, or from an address it is not for. The message tells
   *   these apart only for who holds the right secret, and then it is `KeyRefused`
   */
  authenticate(key: ReadKey, address: string): { record: KeyRecord; caller: Caller } {
    const held = this.#held.get(key.id)
    // Compared also when there is nothing to compare with: how long it takes says nothing about which ids exist.
    const isRight = timingSafeEqual(key.digest, held?.digest ?? NO_DIGEST)
    if (!held || !isRight || held.record.role !== key.role) {
      throw new SteleError('unauthenticated', 'API key: there is no such key here')
    }
    const { record } = held
    const caller = { kind: 'key', id: record.id, grants: held.grants, address, share: record.id } as const
    const state = stateOf(record, this.#parts.nowMs())
    if (state !== 'valid') throw new KeyRefused(caller, `it is ${state}`)
    if (held.addresses && !held.addresses.has(address)) {
      throw new KeyRefused(caller, `it is not for the address ${address}`)
    }
    return { record, caller }
  }

  /** All keys that a maker may know of, in the order in which they were made. */
  list(maker: Maker): KeyInfo[] {
    const nowMs = this.#parts.nowMs()
    return this.#state.keys.filter((key) => isWithin(maker, key.logs)).map((key) => infoOf(key, nowMs))
  }

  /**
   * Makes a key.
   *
   * @throws SteleError `forbidden` beyond what the maker may grant; `usage` for an address, a rate or an expiry that
   *   cannot be
   */
  create(maker: Maker, wanted: NewKey): Promise<MadeKey> {
    return this.#change(async () => {
      checkGrantable(maker, wanted)
      const { made, record } = this.#make(maker, wanted)
      await this.#apply('key_create', maker, [], [record])
      return made
    })
  }

  /**
   * Makes a key in the place of another one; for a while both are valid.
   *
   * @param overlapMs how long the old one stays valid, if it does not expire before
   * @throws SteleError `not_found`, `forbidden`; `usage` for a key that is not valid any more
   */
  rotate(maker: Maker, id: string, overlapMs: number): Promise<MadeKey> {
    return this.#change(async () => {
      const old = this.#known(maker, id)
      const nowMs = this.#parts.nowMs()
      if (stateOf(old, nowMs) !== 'valid' || old.successor !== undefined) {
        throw new SteleError('usage', `API key ${id}: expected one that is valid and was not rotated yet`)
      }
      const { made, record } = this.#make(maker, { ...old, expiresAt: undefined })
      const endMs = Math.min(nowMs + overlapMs, Date.parse(old.expiresAt ?? FAR_FUTURE))
      const changed = { ...old, expiresAt: new Date(endMs).toISOString(), successor: record.id }
      const act = old.role === 'provisioning' ? 'provisioning_replace' : 'key_rotate'
      await this.#apply(act, maker, [old], [changed, record])
      return made
    })
  }

  /** Ends a key: the next request with it is refused. @throws SteleError `not_found`, `forbidden` */
  revoke(maker: Maker, id: string): Promise<KeyInfo> {
    return this.#change(async () => {
      const old = this.#known(maker, id)
      const nowMs = this.#parts.nowMs()
      if (old.revokedAt !== undefined) return infoOf(old, nowMs)
      const changed = { ...old, revokedAt: new Date(nowMs).toISOString() }
      await this.#apply('key_revoke', maker, [old], [changed])
      return infoOf(changed, nowMs)
    })
  }

  /** A new provisioning key in the place of one that was lost, which ends at once. For the host's own use. */
  replaceProvisioning(maker: Maker): Promise<MadeKey> {
    return this.#change(async () => {
      const nowMs = this.#parts.nowMs()
      const old = this.#state.keys.filter((key) => isProvisioning(key) && key.revokedAt === undefined)
      const ended = old.map((key) => ({ ...key, revokedAt: new Date(nowMs).toISOString() }))
      const { made, record } = this.#make(maker, PROVISIONING)
      await this.#apply('provisioning_replace', maker, old, [...ended, record])
      return made
    })
  }

  #make(maker: Maker, wanted: NewKey): { made: MadeKey; record: KeyRecord } {
    const nowMs = this.#parts.nowMs()
    return makeKey(maker.id, wanted, nowMs)
  }

  #known(maker: Maker, id: string): KeyRecord {
    const record = this.#held.get(id)?.record
    if (!record || !isWithin(maker, record.logs)) {
      throw new SteleError(
        'not_found',
        `API key: expected the id of one that "stele key list" shows, got "${id}"`,
      )
    }
    checkGrantable(maker, record)
    return record
  }

  async #apply(
    act: KeyAct['act'],
    maker: Maker,
    before: readonly KeyRecord[],
    after: readonly KeyRecord[],
  ): Promise<void> {
    const nowMs = this.#parts.nowMs()
    const changed = new Map(after.map((key) => [key.id, key]))
    const kept = this.#state.keys.map((key) => changed.get(key.id) ?? key)
    const known = new Set(kept.map(({ id }) => id))
    const state = accessState([...kept, ...after.filter(({ id }) => !known.has(id))])
    const shown = (keys: readonly KeyRecord[]): KeyInfo[] => keys.map((key) => infoOf(key, nowMs))
    await this.#parts.apply({ act, by: maker.id, before: shown(before), after: shown(after), state })
    this.#state = state
    this.#held = heldOf(state)
  }

  #change<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task)
    this.#last = result.catch(() => undefined)
    return result
  }
}

/** The first key of an instance: it makes all others. */
export function firstKey(nowMs: number): { made: MadeKey; record: KeyRecord } {
  return makeKey('init', PROVISIONING, nowMs)
}

const PROVISIONING: NewKey = { role: 'provisioning', logs: '*', label: 'provisioning key' }
const NO_DIGEST = new Uint8Array(32)
const FAR_FUTURE = '9999-12-31T00:00:00Z'

function makeKey(by: string, wanted: NewKey, nowMs: number): { made: MadeKey; record: KeyRecord } {
  const { role, logs, label, addresses, requestsPerSecond } = wanted
  const key: ApiKey = generateApiKey(role)
  if (addresses) parseAddressSet(addresses, 'addresses')
  for (const text of [label, logs].flat()) checkWords(text)
  const record: KeyRecord = {
    id: key.id,
    role,
    logs: logs === '*' ? '*' : [...logs],
    hash: hashOfKey(key),
    label,
    createdAt: new Date(nowMs).toISOString(),
    createdBy: by,
    ...(isProvisioning(wanted) ? {} : { expiresAt: expiryOf(wanted, nowMs) }),
    ...(addresses ? { addresses: [...addresses] } : {}),
    ...(requestsPerSecond === undefined ? {} : { requestsPerSecond }),
  }
  return { made: { key: key.text, info: infoOf(record, nowMs) }, record }
}

/** Labels and names are shown, and stand in the meta log for ever. */
function checkWords(text: string): void {
  if (redact(text) === text) return
  throw new SteleError('usage', 'label, logs: expected words, got something that looks like a secret')
}

function expiryOf({ expiresAt }: NewKey, nowMs: number): string {
  if (expiresAt === undefined) return new Date(nowMs + DEFAULT_KEY_DAYS * DAY_MS).toISOString()
  const atMs = Date.parse(expiresAt)
  if (!(atMs > nowMs)) throw new SteleError('usage', `expiry: expected a moment to come, got "${expiresAt}"`)
  return new Date(atMs).toISOString()
}

/** Nobody hands out more than they were given. */
function checkGrantable({ grants }: Maker, { role, logs }: { role: Role; logs: LogScope }): void {
  if (grants === 'host') return
  const isCovered = grants.some((grant) => GRANTABLE[grant.role].includes(role) && isSubset(logs, grant.logs))
  if (isCovered) return
  const scope = logs === '*' ? 'all logs' : logs.join(', ')
  throw new SteleError('forbidden', `these credentials cannot grant or end the role ${role} for ${scope}`)
}

/** The logs of a maker's grants include those of a key. */
function isWithin({ grants }: Maker, logs: LogScope): boolean {
  return grants === 'host' || grants.some((grant) => isSubset(logs, grant.logs))
}

function isSubset(logs: LogScope, of: LogScope): boolean {
  return of === '*' || (logs !== '*' && logs.every((name) => of.includes(name)))
}

function isProvisioning({ role }: { role: Role }): boolean {
  return role === 'provisioning'
}

function heldOf({ keys }: AccessState): ReadonlyMap<string, Held> {
  return new Map(
    keys.map((record) => [
      record.id,
      {
        record,
        digest: Buffer.from(record.hash, 'hex'),
        grants: [{ role: record.role, logs: record.logs }],
        addresses: record.addresses && parseAddressSet(record.addresses, `API key ${record.id}`),
      },
    ]),
  )
}
