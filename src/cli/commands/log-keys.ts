import type { Context } from '../context.ts'
import { SteleError } from '../../errors.ts'
import type { KeyAlgorithm, KeyChange } from '../../server/change-keys.ts'
import { parseIndex } from '../range.ts'

const ALGORITHMS: readonly KeyAlgorithm[] = ['ed25519', 'ml-dsa-44']
const DAY_SECONDS = 86_400

/** `stele log add-key`. */
export async function addKeyCommand(
  context: Context,
  { algorithm = 'ed25519' }: { readonly algorithm?: string },
  name: string,
): Promise<void> {
  const wanted = ALGORITHMS.find((known) => known === algorithm)
  if (!wanted) {
    throw new SteleError('usage', `--algorithm: expected ${ALGORITHMS.join(' or ')}, got "${algorithm}"`)
  }
  const { addKey } = await import('../../server/change-keys.ts')
  await report(context, name, await addKey(context.data, name, wanted))
}

/** `stele log rotate-key`. */
export async function rotateKeyCommand(
  context: Context,
  { key, overlapDays }: { readonly key?: string; readonly overlapDays?: string },
  name: string,
): Promise<void> {
  const { rotateKey } = await import('../../server/change-keys.ts')
  const overlapSeconds = overlapDays === undefined ? undefined : parseIndex(overlapDays) * DAY_SECONDS
  await report(context, name, await rotateKey(context.data, name, { keyId: key, overlapSeconds }))
}

/** `stele log retire-key`. */
export async function retireKeyCommand(
  context: Context,
  { beforeOverlapEnds }: { readonly beforeOverlapEnds?: boolean },
  name: string,
  keyId: string,
): Promise<void> {
  const { logFiles } = await import('../../server/data-folder.ts')
  const { retireKey } = await import('../../server/change-keys.ts')
  const change = await retireKey(context.data, name, keyId, { beforeOverlapEnds })
  await report(context, name, change)
  context.terminal.note(
    `It signs nothing from now on. Its private key is still in ${logFiles(context.data, name).folder}/${change.key.file}: ` +
      'destroy it once you are sure.',
  )
}

async function report({ terminal, data }: Context, name: string, change: KeyChange): Promise<void> {
  const { info, key, statements } = change
  const { verifierKey } = key
  await terminal.result({ data, name, origin: info.origin, ...key, rotations: statements }, verifierKey)
  const signing = info.keys.filter(({ retired }) => !retired).length
  terminal.note(
    `The log "${name}" signs with ${signing} key${signing === 1 ? '' : 's'}, from its next head on.`,
  )
  if (statements.length > 0 && !key.retired) {
    terminal.note(
      `Its old keys announce the new one at v1/keys/rotations. Back up ${key.file} as you did the first key.`,
    )
  }
}
