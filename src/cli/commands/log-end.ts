import { visible } from '../../bytes/visible.ts'
import { toHex } from '../../bytes/hex.ts'
import { SteleError } from '../../errors.ts'
import { HOST, onStoredLog } from '../access/stored-logs.ts'
import { isLoopbackOrigin, prefixOf } from '../../config/public-url.ts'
import type { Context } from '../context.ts'
import { formatCount } from '../output/units.ts'
import { serverOf, type ServerOption } from './log-server.ts'

/** `stele log freeze`. */
export async function freezeCommand(
  context: Context,
  { successor, ...options }: ServerOption & { readonly successor?: string },
  name: string,
): Promise<void> {
  const { terminal } = context
  const frozen = await freeze(context, options, name, successor)
  const { treeSize, rootHash, published } = frozen
  const where = options.server === undefined ? { data: context.data } : { server: options.server }
  await terminal.result(
    { ...where, name, ...frozen },
    `${name}: frozen permanently at size ${formatCount(treeSize)}, root hash ${visible(rootHash)}`,
  )
  if (!published) terminal.warn(UNPUBLISHED)
}

interface FrozenLog {
  readonly treeSize: number
  readonly rootHash: string
  readonly successor?: string | undefined
  readonly published: boolean
}

async function freeze(
  context: Context,
  options: ServerOption,
  name: string,
  successor: string | undefined,
): Promise<FrozenLog> {
  const server = await serverOf(context, options)
  if (server) return server.freeze(name, successor)
  const { head, published } = await onStoredLog(context, name, ({ logs }) =>
    logs.freeze(HOST, name, { successor }),
  )
  return {
    treeSize: head.size,
    rootHash: toHex(head.root),
    successor: head.final?.successor,
    published,
  }
}

interface RolloverFlags {
  readonly publicUrl?: string
  readonly origin?: string
  readonly successor?: string
  readonly headFolder?: string
}

/** `stele log rollover`. */
export async function rolloverCommand(
  context: Context,
  options: RolloverFlags,
  name: string,
  newName: string,
): Promise<void> {
  const { data, terminal } = context
  const { readLogInfo } = await import('../../instance/data-folder.ts')
  const { rollOver } = await import('../../instance/rollover.ts')
  const { originOf } = await import('../files/initialise.ts')
  const old = await readLogInfo(data, name)
  const publicUrl = options.publicUrl ?? context.flagUrl ?? publicUrlOf(old.origin, name)
  if (publicUrl === undefined && (options.origin === undefined || options.successor === undefined)) {
    throw new SteleError(
      'usage',
      `log rollover: the origin ${old.origin} does not name the server's URL; expected --public-url, or --origin ` +
        `and --successor`,
    )
  }
  const { successor, final } = await onStoredLog(context, name, ({ administer }, settings) =>
    rollOver(data, name, {
      name: newName,
      origin: originOf({ name: newName, origin: options.origin, publicUrl }),
      url: options.successor ?? `${publicUrl!.replace(/\/+$/, '')}/logs/${newName}`,
      ...(options.headFolder === undefined ? {} : { headFolder: options.headFolder }),
      settings,
      administer,
    }),
  )
  const { origin, verifierKey } = successor
  await terminal.result(
    {
      data,
      name: newName,
      origin,
      verifierKey,
      predecessor: old.origin,
      finalSize: final.size,
      finalRootHash: toHex(final.root),
    },
    verifierKey,
  )
  terminal.note(
    `The log "${name}" is frozen permanently at size ${formatCount(final.size)}; "${newName}" (origin ${origin}) continues it. ` +
      'The line above is the verifier key of the new log. Restart a running server to serve it.',
  )
}

/** `stele log lineage`. */
export async function lineageCommand({ data, terminal }: Context, _: object, name: string): Promise<void> {
  const { lineageOf } = await import('../lineage/lineage.ts')
  const lineage = await lineageOf(data, name)
  if (terminal.json) return terminal.jsonLine(lineage)
  for (const [label, relative] of [
    ['predecessor', lineage.predecessor],
    ['successor', lineage.successor],
  ] as const) {
    if (relative === undefined) await terminal.line(`${label.padEnd(12)} none`)
    else {
      const verified =
        relative.name === undefined ? 'not in this data folder: not checked' : `verified: "${relative.name}"`
      await terminal.line(`${label.padEnd(12)} ${visible(relative.origin)} (${verified})`)
    }
  }
}

const UNPUBLISHED =
  'too few witnesses have cosigned the final head yet: keep serving the log until they have, so that readers get that head'

/** An origin is, by default, the log's URL without its scheme. */
function publicUrlOf(origin: string, name: string): string | undefined {
  const server = prefixOf(origin, name)
  return server === undefined ? undefined : `${isLoopbackOrigin(origin) ? 'http' : 'https'}://${server}`
}
