import { SteleError } from '../../errors.ts'
import type { ScrubStatus } from '../../scrub/scrub-options.ts'
import { json, type Answer } from '../answer.ts'
import type { HttpDeps } from '../deps.ts'
import type { HostedLog } from '../../instance/directory.ts'
import { NO_STORE } from '../headers.ts'
import { hostedRoute, type Route } from '../route.ts'
import { Scrub } from '../schemas.ts'
import { withoutPaths } from '../without-paths.ts'

/** What the scrubber of a log says, and a pass for whoever does not want to wait for the next one. */
export function scrubRoutes({ logs }: HttpDeps): Route[] {
  return [
    hostedRoute(logs, {
      method: 'get',
      path: '/v1/logs/{log}/scrub',
      permission: 'operate',
      tag: 'Operation',
      summary: 'How much of a log was verified again, and what is damaged',
      answers: { 200: { description: 'The scrubber.', content: { 'application/json': Scrub } } },
      errors: ['not_found'],
      handle: ({ hosted }) => shown(scrubOf(hosted), 200),
    }),
    hostedRoute(logs, {
      method: 'post',
      path: '/v1/logs/{log}/scrub',
      permission: 'operate',
      tag: 'Operation',
      summary: 'Begin a pass of the scrubber now, or right after the one under way',
      answers: { 202: { description: 'It begins.', content: { 'application/json': Scrub } } },
      errors: ['not_found'],
      handle({ hosted }) {
        const scrub = scrubOf(hosted)
        hosted.scrubNow?.()
        return shown(scrub, 202)
      },
    }),
  ]
}

function scrubOf({ name, scrub }: HostedLog): ScrubStatus {
  if (scrub) return scrub
  throw new SteleError('not_found', `log ${name}: it has no scrubber, or is not open`)
}

function shown(scrub: ScrubStatus, status: number): Answer {
  const { coverage, pass, lastPass, bytesRead, readErrors, findingCount } = scrub
  const findings = scrub.findings.map(({ place, expected, found, message }) => {
    return { place, expected, found: withoutPaths(found), message: withoutPaths(message) }
  })
  const value = { coverage, pass, bytesRead, readErrors, findingCount, findings }
  return json(Scrub, { ...value, ...(lastPass ? { lastPass } : {}) }, NO_STORE, status)
}
