import type { App } from '../http/app.ts'
import { BodyReader } from '../http/body.ts'
import { fixedApp, type Found } from '../http/fixed-app.ts'
import type { MirrorHttpDeps } from './deps.ts'
import { BUNDLE_PATH, CHECKPOINT_PATH, mirrorRoutes, TILE_PATH } from './routes.ts'

/** SHA-256 of an origin, as c2sp.org/tlog-mirror puts it into the URL, and what stands behind it. */
const COPY = /^\/([0-9a-f]{64})\/(checkpoint|tile\/.*)$/

/** The HTTP layer of a mirror. */
export function createMirrorApp(deps: MirrorHttpDeps): Pick<App, 'handler' | 'breakOff' | 'routes'> {
  const bodies = new BodyReader(deps.limits)
  const routes = mirrorRoutes(deps, bodies)
  const at = (path: string) => routes.find((route) => route.path === path)!
  const [checkpoint, tile, bundle] = [at(CHECKPOINT_PATH), at(TILE_PATH), at(BUNDLE_PATH)]
  const find = (target: string): Found | undefined => {
    const [, hash, rest] = COPY.exec(target) ?? []
    if (hash === undefined || rest === undefined) return undefined
    const route = rest === 'checkpoint' ? checkpoint : rest.startsWith('tile/entries/') ? bundle : tile
    return { route, path: { hash, rest } }
  }
  return fixedApp({ ...deps, routes, bodies, find })
}
