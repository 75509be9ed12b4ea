import type { App } from '../http/app.ts'
import { BodyReader } from '../http/body.ts'
import { fixedApp } from '../http/fixed-app.ts'
import type { WitnessHttpDeps } from './deps.ts'
import { CHECKPOINT_PATH, witnessRoutes } from './routes.ts'

/** SHA-256 of an origin, as c2sp.org/tlog-witness puts it into the URL. */
const CHECKPOINT = /^\/([0-9a-f]{64})\/checkpoint$/

/** The HTTP layer of a witness. */
export function createWitnessApp(deps: WitnessHttpDeps): Pick<App, 'handler' | 'breakOff' | 'routes'> {
  const bodies = new BodyReader(deps.limits)
  const routes = witnessRoutes(deps, bodies)
  const route = routes.find(({ path }) => path === CHECKPOINT_PATH)!
  const find = (target: string) => {
    const hash = CHECKPOINT.exec(target)?.[1]
    return hash === undefined ? undefined : { route, path: { hash } }
  }
  return fixedApp({ ...deps, routes, bodies, find })
}
