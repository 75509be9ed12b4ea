import { timingSafeEqual } from 'node:crypto'
import { SteleError } from '../errors.ts'
import { areWithin, parseAddressSet, type AddressSet } from './address.ts'
import { generateApiKey, hashOfKey, type ApiKey, type ReadKey } from './api-key.ts'
import type { Caller, Grant, LogScope } from './caller.ts'
import { infoOf, stateOf, type KeyInfo, type KeyRecord } from './key-record.ts'
import { redact } from './redact.ts'
import { GRANTABLE, PERMISSIONS, type Permission, type Role } from './role.ts'
import { accessState, type AccessState } from './state.ts'

/** A change to the API keys. */
export interface KeyAct {
  readonly act: 'key_create' | 'key_rotate' | 'key_revoke' | 'provisioning_replace'
  /** Key id, or name of the command. */
  readonly by: string
  /** The keys that change, before and after; never a secret or its hash. */
  readonly before: readonly KeyInfo[]
  readonly after: readonly KeyInfo[]
  readonly state: AccessState
}

/** The environment of a keyring. */
export interface KeyringParts {
  /**
   * Durably records the planned change, and then makes it the stored state. If it rejects, nothing changes in memory.
   */
  readonly apply: (act: KeyAct) => Promise<void>
  readonly nowMs: () => number
  /** The longest validity of a new key; absent: no limit. */
  readonly maxKeyMs?: number | undefined
}

/** The requested properties of a key. */
export interface NewKey {
  readonly role: Role
  readonly logs: LogScope
  readonly label: string
  readonly expiresAt?: string | undefined
  readonly addresses?: readonly string[] | undefined
  readonly requestsPerSecond?: number | undefined
}

/** A key that was made. Its text is shown only once. */
export interface MadeKey {
  readonly key: string
  readonly info: KeyInfo
}

/** The maker of a key: a caller with grants, or a user of the host itself, who could also edit the file. */
export type Maker = { readonly id: string; readonly grants: readonly Grant[] | 'host' }

/** The default validity of a key. */
export const DEFAULT_KEY_DAYS = 90
/** The lowest rate of a key: with a lower one, a client would give up before it may send a request. */
export const LEAST_REQUESTS_PER_SECOND = 0.01
const DAY_MS = 86_400_000
/**
 * Ids of keys that are revoked with another one, in one line of the meta log: 19 bytes each, and a line holds 60,000.
 */
const MOST_IN_ONE_LINE = 2000

/**
 * A right key that is revoked, expired, or used from an address it is not for. Its secret has identified the holder.
 */
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

/** Owner of the API keys of an instance and of their current validity. */
export class Keyring {
  readonly #parts: KeyringParts
  #state: AccessState
  #held: ReadonlyMap<string, Held>
  /** Changes run one after another: each builds on the state that the one before left. */
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
   * Authenticates a key that is used from this address.
   *
   * @throws SteleError `unauthenticated`: unknown, revoked, expired, or from an address it is not for. The message
   *   distinguishes these only for a right secret, and is then a `KeyRefused`
   */
  authenticate(key: ReadKey, address: string): { record: KeyRecord; caller: Caller } {
    const held = this.#held.get(key.id)
    // Compared even for an unknown id, so that the time taken does not reveal which ids exist.
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

  /** All keys that a maker may see, in the order in which they were made. */
  list(maker: Maker): KeyInfo[] {
    const nowMs = this.#parts.nowMs()
    return this.#state.keys
      .filter((key) => reaches(maker, 'see_access', key.logs))
      .map((key) => infoOf(key, nowMs))
  }

  /**
   * Makes a key. It inherits the limits of the maker's own key: addresses, rate and expiry apply where the request
   * names none.
   *
   * @throws SteleError `forbidden` beyond what the maker may grant, or beyond its limits; `usage` for an invalid
   *   address, rate or expiry; `unauthenticated` if the maker's key has become invalid meanwhile
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
   * Makes a key that replaces another one; for a while both are valid. The provisioning key may rotate itself.
   *
   * @param overlapMs how long the old one stays valid, if it does not expire before
   * @throws SteleError `not_found`; `forbidden`, also where the new key would have weaker limits than the maker's own;
   *   `usage` for a key that is no longer valid
   */
  rotate(maker: Maker, id: string, overlapMs: number): Promise<MadeKey> {
    return this.#change(async () => {
      const old = this.#known(maker, id)
      const nowMs = this.#parts.nowMs()
      if (!isProvisioning(old) || old.id !== maker.id) checkGrantable(maker, old)
      checkRotatable(old, this.#boundsOf(maker))
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

  /**
   * Revokes a key: the next request with it is refused.
   *
   * @param cascade also revokes the keys that it made, the keys that those made, and so on, in the same act
   * @throws SteleError `not_found`, `forbidden`
   */
  revoke(maker: Maker, id: string, cascade = false): Promise<KeyInfo> {
    return this.#change(async () => {
      const old = this.#known(maker, id)
      const made = cascade ? this.#madeBy(id).filter((key) => key.revokedAt === undefined) : []
      // The provisioning key may revoke its predecessor; itself it can only rotate.
      for (const key of [old, ...made]) if (key.successor !== maker.id) checkGrantable(maker, key)
      const nowMs = this.#parts.nowMs()
      if (old.revokedAt !== undefined && made.length === 0) return infoOf(old, nowMs)
      const revokedAt = new Date(nowMs).toISOString()
      const ended = { ...old, revokedAt: old.revokedAt ?? revokedAt }
      // One line holds all of them, except in a folder of thousands. The rest follows in the same turn.
      let rest: readonly KeyRecord[] = made
      let before = old
      do {
        const also = rest.slice(0, MOST_IN_ONE_LINE).map((key) => ({ ...key, revokedAt }))
        await this.#apply('key_revoke', maker, [before], [ended], also)
        rest = rest.slice(MOST_IN_ONE_LINE)
        before = ended
      } while (rest.length > 0)
      return withAlso(infoOf(ended, nowMs), made)
    })
  }

  /** Replaces a lost provisioning key, which is revoked at once. Only for the host itself. */
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
    const bounds = this.#boundsOf(maker)
    const { maxKeyMs } = this.#parts
    const expiresAt = isProvisioning(wanted) ? undefined : expiryOf(wanted, { nowMs, maxKeyMs, bounds })
    return makeKey(maker.id, { ...withinBounds(wanted, bounds), expiresAt }, nowMs)
  }

  /**
   * The maker's own key, if it has one. People and the host have no limits to inherit. No person's id has the form of a
   * key's.
   *
   * @throws SteleError `unauthenticated` for a key that became invalid while the change waited for its turn
   */
  #boundsOf({ id, grants }: Maker): KeyRecord | undefined {
    const record = grants === 'host' ? undefined : this.#held.get(id)?.record
    const state = record ? stateOf(record, this.#parts.nowMs()) : 'valid'
    if (state !== 'valid') throw new SteleError('unauthenticated', `API key ${id}: it is ${state}`)
    return record
  }

  /** All keys that a key has made, directly or through keys that it made. */
  #madeBy(id: string): KeyRecord[] {
    const makers = new Set([id])
    // A key comes after its maker in the list, so that one pass finds all generations.
    return this.#state.keys.filter((key) => makers.has(key.createdBy) && makers.add(key.id))
  }

  #known(maker: Maker, id: string): KeyRecord {
    const record = this.#held.get(id)?.record
    if (!record || !reaches(maker, 'see_access', record.logs)) {
      throw new SteleError(
        'not_found',
        `API key: expected the id of one that "stele key list" shows, got "${id}"`,
      )
    }
    return record
  }

  async #apply(
    act: KeyAct['act'],
    maker: Maker,
    before: readonly KeyRecord[],
    after: readonly KeyRecord[],
    also: readonly KeyRecord[] = [],
  ): Promise<void> {
    const nowMs = this.#parts.nowMs()
    const changed = new Map([...after, ...also].map((key) => [key.id, key]))
    const kept = this.#state.keys.map((key) => changed.get(key.id) ?? key)
    const known = new Set(kept.map(({ id }) => id))
    const state = accessState([...kept, ...after.filter(({ id }) => !known.has(id))])
    const shown = (keys: readonly KeyRecord[]): KeyInfo[] => keys.map((key) => infoOf(key, nowMs))
    const told = shown(after).map((info) => withAlso(info, also))
    await this.#parts.apply({ act, by: maker.id, before: shown(before), after: told, state })
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
  if (requestsPerSecond !== undefined) checkRate(requestsPerSecond)
  for (const text of [label, logs].flat()) checkWords(text)
  const record: KeyRecord = {
    id: key.id,
    role,
    logs: logs === '*' ? '*' : [...logs],
    hash: hashOfKey(key),
    label,
    createdAt: new Date(nowMs).toISOString(),
    createdBy: by,
    ...(wanted.expiresAt === undefined ? {} : { expiresAt: wanted.expiresAt }),
    ...(addresses ? { addresses: [...addresses] } : {}),
    ...(requestsPerSecond === undefined ? {} : { requestsPerSecond }),
  }
  return { made: { key: key.text, info: infoOf(record, nowMs) }, record }
}

/** Refuses secrets in labels and log names: they are shown, and the meta log keeps them permanently. */
function checkWords(text: string): void {
  if (redact(text) === text) return
  throw new SteleError('usage', 'label, logs: expected words, got something that looks like a secret')
}

function checkRate(requestsPerSecond: number): void {
  if (Number.isFinite(requestsPerSecond) && requestsPerSecond >= LEAST_REQUESTS_PER_SECOND) return
  throw new SteleError(
    'usage',
    `requestsPerSecond: expected at least ${LEAST_REQUESTS_PER_SECOND}, got ${requestsPerSecond}`,
  )
}

/** The expiry of a new key: as requested, else the default, but no later than that of its maker and the limit. */
function expiryOf(
  { expiresAt }: NewKey,
  {
    nowMs,
    maxKeyMs = Infinity,
    bounds,
  }: { nowMs: number; maxKeyMs?: number | undefined; bounds?: KeyRecord | undefined },
): string {
  const makerEndMs = bounds?.expiresAt === undefined ? Infinity : Date.parse(bounds.expiresAt)
  const limitMs = nowMs + maxKeyMs
  if (expiresAt === undefined) {
    return new Date(Math.min(nowMs + DEFAULT_KEY_DAYS * DAY_MS, makerEndMs, limitMs)).toISOString()
  }
  const atMs = Date.parse(expiresAt)
  if (!(atMs > nowMs)) throw new SteleError('usage', `expiry: expected a moment to come, got "${expiresAt}"`)
  if (atMs > makerEndMs) throw beyond(bounds!, `expires at ${bounds!.expiresAt!}`, `until ${expiresAt}`)
  if (atMs > limitMs) {
    const days = maxKeyMs / DAY_MS
    throw new SteleError('usage', `expiry: expected at most ${days} days (max-key-days), got "${expiresAt}"`)
  }
  return new Date(atMs).toISOString()
}

/** A request with the limits of the maker's key where it names none. @throws SteleError `forbidden` */
function withinBounds(wanted: NewKey, bounds: KeyRecord | undefined): NewKey {
  if (!bounds) return wanted
  const { addresses = bounds.addresses, requestsPerSecond = bounds.requestsPerSecond } = wanted
  if (bounds.addresses && !areWithin(addresses!, bounds.addresses)) {
    throw beyond(bounds, `is bound to ${bounds.addresses.join(', ')}`, `for ${addresses!.join(', ')}`)
  }
  const most = bounds.requestsPerSecond ?? Infinity
  if (requestsPerSecond !== undefined && requestsPerSecond > most) {
    throw beyond(bounds, `is bound to ${most} requests per second`, `of ${requestsPerSecond}`)
  }
  return { ...wanted, addresses, requestsPerSecond }
}

/**
 * A replacement has the limits of the old key. So a key with weaker limits than the maker's own must not be rotated, or
 * the maker could evade its own limits.
 */
function checkRotatable({ addresses, requestsPerSecond }: KeyRecord, bounds: KeyRecord | undefined): void {
  if (bounds?.addresses && !addresses) {
    throw beyond(bounds, `is bound to ${bounds.addresses.join(', ')}`, 'for any address')
  }
  if (bounds?.requestsPerSecond !== undefined && requestsPerSecond === undefined) {
    throw beyond(
      bounds,
      `is bound to ${bounds.requestsPerSecond} requests per second`,
      'without such a bound',
    )
  }
}

function beyond({ id }: KeyRecord, bound: string, wanted: string): SteleError {
  return new SteleError('forbidden', `API key ${id} ${bound}, and cannot make a key ${wanted}`)
}

function withAlso(info: KeyInfo, also: readonly KeyRecord[]): KeyInfo {
  return also.length === 0 ? info : { ...info, alsoRevoked: also.map(({ id }) => id) }
}

/** Refuses a key of a role that the maker's role may not grant, or for logs beyond the maker's grant. */
function checkGrantable({ grants }: Maker, { role, logs }: { role: Role; logs: LogScope }): void {
  if (grants === 'host') return
  const isCovered = grants.some((grant) => GRANTABLE[grant.role].includes(role) && isSubset(logs, grant.logs))
  if (isCovered) return
  const scope = logs === '*' ? 'all logs' : logs.join(', ')
  throw new SteleError('forbidden', `these credentials cannot grant or end the role ${role} for ${scope}`)
}

/** A single grant must cover both the permission and all logs of a key. */
function reaches({ grants }: Maker, permission: Permission, logs: LogScope): boolean {
  if (grants === 'host') return true
  return grants.some(({ role, logs: own }) => PERMISSIONS[role].includes(permission) && isSubset(logs, own))
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
