import type { ServedLogs } from '../access/served.ts'
import type { Context } from '../context.ts'

/** Of commands that either ask a running server or change the files of a stopped one. */
export interface ServerOption {
  readonly server?: string
}

export const SERVER = [
  '--server <url>',
  'ask a running server, with the provisioning key in STELE_API_KEY; else the data folder',
] as const

/** The server that is asked, if one was named. */
export async function serverOf(context: Context, { server }: ServerOption): Promise<ServedLogs | undefined> {
  if (server === undefined) return undefined
  const { servedLogs } = await import('../access/served.ts')
  return servedLogs(server, await context.headers())
}
