import { rm } from 'node:fs/promises'
import { equalBytes } from '../bytes/bytes.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { parseVerifierKey } from '../note/key.ts'
import { parsePolicy } from '../policy/parse.ts'
import { readTextFile, replaceFile, syncFolder } from '../storage/files.ts'
import type { Announce } from './plan.ts'
import { hashOf, policyPart } from './configuration.ts'
import { logFiles, readLogInfo } from './data-folder.ts'
import { activeKeys } from './key-times.ts'
import { NONE_YET } from './log-files.ts'
import type { LogInfo } from './log-info.ts'
import { withStoredHead } from './stored-head.ts'

/** The meta log records a longer policy only as its hash. */
const SHOWN_LENGTH = 4096

/** The policy of a log; undefined for a log without one. @throws SteleError `io_error` */
export function readPolicy(folder: string, name: string): Promise<string | undefined> {
  return readTextFile(logFiles(folder, name).policy)
}

/**
 * Sets the witness policy of a log: the cosignatures that a head needs before it is published. The log must not be open
 * elsewhere. The policy applies from the next opening on; the log then takes entries once the witnesses have confirmed
 * its head.
 *
 * @param text c2sp.org/tlog-policy; undefined: the log waits for no cosignatures any more
 * @throws SteleError `malformed` with the line; `usage` for a policy about another log, or with a witness without a
 *   URL; `locked`
 */
export async function changePolicy(
  folder: string,
  name: string,
  text: string | undefined,
  announce: Announce,
): Promise<void> {
  if (text !== undefined) checkPolicy(await readLogInfo(folder, name), text)
  await withStoredHead(folder, name, async () => {
    if (await announcePolicy(folder, name, text, announce)) await putPolicy(folder, name, text)
  })
}

/**
 * As {@link changePolicy} for the log that the announcement itself is written to: it is announced while the log is
 * open, and made while the log is closed.
 */
export async function changeOwnPolicy(
  folder: string,
  name: string,
  text: string | undefined,
  {
    announce,
    whileClosed,
  }: { announce: Announce; whileClosed: (task: () => Promise<void>) => Promise<void> },
): Promise<void> {
  if (text !== undefined) checkPolicy(await readLogInfo(folder, name), text)
  if (!(await announcePolicy(folder, name, text, announce))) return
  await whileClosed(() => withStoredHead(folder, name, () => putPolicy(folder, name, text)))
}

/** @returns false if the policy would not change */
async function announcePolicy(
  folder: string,
  name: string,
  text: string | undefined,
  announce: Announce,
): Promise<boolean> {
  const before = await readPolicy(folder, name)
  if (before === text) return false
  const parts = { [policyPart(name)]: text === undefined ? undefined : hashOf(text) }
  await announce({ before: shown(before), after: shown(text), parts })
  return true
}

async function putPolicy(folder: string, name: string, text: string | undefined): Promise<void> {
  const { folder: place, policy, published } = logFiles(folder, name)
  // Without a policy every head was published. An older `published` record would show readers an older head, so it is
  // replaced. It is replaced by a value and not removed, because a missing file could also be a lost one.
  if ((await readPolicy(folder, name)) === undefined) await replaceFile(published, `${NONE_YET}\n`, 0o600)
  if (text !== undefined) return replaceFile(policy, text)
  await rm(policy)
  await syncFolder(place)
}

/**
 * Checks that a policy is well-formed and about this log.
 *
 * @throws SteleError as {@link changePolicy}
 */
export function checkPolicy({ origin, keys }: LogInfo, text: string): void {
  const { logs, witnesses } = parsePolicy(text)
  const silent = witnesses.find(({ url }) => url === undefined)
  if (silent) throw usage(`the witness ${excerpt(silent.name)} needs a URL`)
  if (logs.length === 0) return
  const own = activeKeys(keys).map(({ verifierKey }) => parseVerifierKey(verifierKey))
  const isAboutThis = logs.some(({ key }) =>
    own.some(({ name, publicKey }) => name === key.name && equalBytes(publicKey, key.publicKey)),
  )
  if (!isAboutThis) throw usage(`expected a key that signs for ${origin} among its logs`)
}

function shown(text: string | undefined): object | null {
  if (text === undefined) return null
  return { sha256: hashOf(text), ...(text.length > SHOWN_LENGTH ? {} : { policy: text }) }
}

function usage(message: string): SteleError {
  return new SteleError('usage', `policy: ${message}; nothing was changed`)
}
