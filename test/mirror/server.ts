import { createMirrorServer, DEFAULT_MIRROR_LIMITS, type MirrorLimits } from '../../src/mirror/routes.ts'
import type { Mirror } from '../../src/mirror/mirror.ts'
import { TestServer } from '../http/server.ts'
import { listenInTest } from '../support/listen.ts'

/** A server over a mirror, on a port of its own, closed when the test has finished. */
export async function serveMirror(mirror: Mirror, limits: Partial<MirrorLimits> = {}): Promise<TestServer> {
  const server = createMirrorServer({
    mirror,
    nowMs: Date.now,
    limits: { ...DEFAULT_MIRROR_LIMITS, callerBurst: 100_000, ...limits },
  })
  return new TestServer(await listenInTest(server))
}

export const OCTETS = { 'content-type': 'application/octet-stream' }
