import type { ServedLogs } from '../access/served.ts'
import type { Context } from '../context.ts'

/** The options of commands that use a running server, or change the files of a stopped one. */
export interface ServerOption {
  readonly server?: string
}

export const SERVER = [
  '--server <url>',
  'use a running server, with the provisioning key in STELE_API_KEY (default: the data folder)',
] as const

/** The API of the running server, if --server names one. */
export async function serverOf(context: Context, { server }: ServerOption): Promise<ServedLogs | undefined> {
  if (server === undefined) return undefined
  const { servedLogs } = await import('../access/served.ts')
  return servedLogs(server, await context.headers())
}
