import { SteleError } from '../errors.ts'
import { META_LOG } from '../instance/access-files.ts'
import { administer } from '../audit-trail/administer.ts'
import { Administration } from '../instance/administration.ts'
import type { Host } from '../instance/host.ts'
import type { MetaLog } from '../audit-trail/meta-log.ts'

/** What the administration of a running server depends on. */
export interface ServedParts {
  readonly folder: string
  readonly host: Host
  readonly meta: MetaLog
  /** The server's public URL, if configured. */
  readonly publicUrl: string
  /** Reserves file descriptors for this many logs. @throws SteleError if there are not enough */
  readonly makeRoom: (logs: number) => void
}

/** Changes the logs of a running server. A log closes for a moment while its files change. */
export function servedAdministration({
  folder,
  host,
  meta,
  makeRoom,
  publicUrl,
}: ServedParts): Administration {
  return new Administration({
    folder,
    publicUrl,
    administer: (act, task) => administer({ folder, meta }, act, task),
    works: {
      whileClosed: (name, task) =>
        name === META_LOG
          ? meta.whilePaused(() => host.whileClosed(name, task))
          : host.whileClosed(name, task),
      freeze: (name, words, announce) => host.freeze(name, words, announce),
      checkRoom: () => makeRoom(host.list().length + 1),
      add: (name) => host.add(name),
      async changeKeys(name, change) {
        if (name !== META_LOG) return host.changeKeys(name, change)
        const how = 'stop the server, and use "stele log" on its folder'
        throw new SteleError('usage', `the keys of the meta log cannot change while it is written: ${how}`)
      },
    },
  })
}
