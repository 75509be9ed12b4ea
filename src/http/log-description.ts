import type * as z from 'zod'
import type { HostedLog } from '../instance/directory.ts'
import { base64Of, hexOf } from './accept.ts'
import type { LogDescription } from './schemas.ts'
import { withoutPaths } from './errors.ts'

/** The description of a log in `v1/logs`. */
export function describeLog(hosted: HostedLog): z.output<typeof LogDescription> {
  const { name, origin, verifierKey, keys, allowDuplicates, log, failure } = hosted
  const status = log?.status
  const reason = failure?.message ?? status?.reason
  const published = log?.published
  const successor = log?.integrated.final?.successor
  return {
    name,
    origin,
    path: `/logs/${name}/`,
    verifierKey,
    verifierKeys: keys.flatMap((key) => (key.retired ? [] : [key.verifierKey])),
    treeHeadKey: base64Of(hosted.treeHeadKey),
    ...(published
      ? { treeSize: published.size, rootHash: hexOf(published.root), timestampMs: published.timestampMs }
      : {}),
    state: status?.state ?? 'failed',
    ...(reason === undefined ? {} : { reason: withoutPaths(reason) }),
    ...(successor === undefined ? {} : { successor }),
    allowDuplicates,
    reads: hosted.reads,
    heads: hosted.heads,
  }
}
