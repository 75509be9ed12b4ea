import { visible } from '../../bytes/visible.ts'
import { SteleError } from '../../errors.ts'
import { STDIN } from '../files/input.ts'
import type { NewLogOptions } from '../files/initialise.ts'
import { HOST, onStoredLog } from '../access/stored-logs.ts'
import type { Context } from '../context.ts'
import type { ServerOption } from './log-server.ts'
import { serverOf } from './log-server.ts'

/** `stele log create`. */
export async function createLogCommand(
  context: Context,
  options: Omit<NewLogOptions, 'name'> & ServerOption,
  name: string,
): Promise<void> {
  const { newLogOf, warnOfLoopback } = await import('../files/initialise.ts')
  const { data, terminal } = context
  const server = await serverOf(context, options)
  const publicUrl = options.publicUrl ?? context.flagUrl
  const { origin: chosen, ...rest } = newLogOf({ ...options, name, publicUrl })
  // Not by the address that this command happens to use: the instance knows where others reach it.
  const wanted = options.origin === undefined && publicUrl === undefined ? rest : { ...rest, origin: chosen }
  if (server) {
    if (options.headFolder !== undefined) {
      throw new SteleError(
        'usage',
        'log create: --head-folder names a folder of the server’s machine; run it there',
      )
    }
    const { origin, verifierKey } = await server.create(wanted)
    await terminal.result({ server: options.server, name, origin, verifierKey }, visible(verifierKey))
    warnOfLoopback(terminal, origin)
    return terminal.note(`Made the log "${name}" (origin ${visible(origin)}); it is served from now on.`)
  }
  const { origin, verifierKey } = await onStoredLog(context, name, ({ logs }) => logs.createLog(HOST, wanted))
  await terminal.result({ data, name, origin, verifierKey }, verifierKey)
  warnOfLoopback(terminal, origin)
  terminal.note(`Made the log "${name}" (origin ${origin}) in ${data}.`)
}

/** `stele log set-policy`. */
export async function setPolicyCommand(
  context: Context,
  options: ServerOption & { readonly none?: boolean },
  name: string,
  file?: string,
): Promise<void> {
  if ((file === undefined) === (options.none !== true)) {
    throw new SteleError('usage', `log set-policy: expected either a file (or ${STDIN}) or --none`)
  }
  const text = file === undefined ? undefined : await readText(context, file)
  const server = await serverOf(context, options)
  if (server) await server.setPolicy(name, text ?? null)
  else {
    await onStoredLog(context, name, ({ logs }) => logs.setPolicy(HOST, name, text))
  }
  const waits = text === undefined ? 'waits for no witnesses' : 'waits for the witnesses of its policy'
  await context.terminal.result({ name, policy: text ?? null }, `${name}: it ${waits}`)
}

/** `stele log set-access`. */
export async function setAccessCommand(
  context: Context,
  options: ServerOption & { readonly reads?: string; readonly heads?: string },
  name: string,
): Promise<void> {
  const { headsOf } = await import('../files/initialise.ts')
  const { reads, heads } = options
  if (reads === undefined && heads === undefined) {
    throw new SteleError('usage', 'log set-access: expected --reads, --heads, or both')
  }
  const wanted = {
    ...(reads === undefined ? {} : { reads: readsOf(reads) }),
    ...(heads === undefined ? {} : { heads: headsOf(heads) }),
  }
  const server = await serverOf(context, options)
  const now = server
    ? await server.setAccess(name, wanted)
    : await onStoredLog(context, name, ({ logs }) => logs.setAccess(HOST, name, wanted))
  await context.terminal.result({ name, ...now }, `${name}: reads ${now.reads}, heads ${now.heads}`)
}

function readsOf(text: string): 'public' | 'private' {
  if (text === 'public' || text === 'private') return text
  throw new SteleError('usage', `--reads: expected public or private, got "${text}"`)
}

async function readText({ io }: Context, file: string): Promise<string> {
  const { readInput } = await import('../files/input.ts')
  const bytes = await readInput(file, io)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new SteleError('malformed', `${file}: expected a policy in UTF-8`, { cause: error })
  }
}
