import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { createMirrorServer } from '../../src/http/mirror-server.ts'
import { DEFAULT_MIRROR_LIMITS, type MirrorLimits } from '../../src/http/mirror-limits.ts'
import type { Mirror } from '../../src/mirror/mirror.ts'
import { TestServer } from './server.ts'

/** A server over a mirror, on a port of its own, closed when the test has finished. */
export async function serveMirror(mirror: Mirror, limits: Partial<MirrorLimits> = {}): Promise<TestServer> {
  const server = createMirrorServer({
    mirror,
    nowMs: Date.now,
    limits: { ...DEFAULT_MIRROR_LIMITS, callerBurst: 100_000, ...limits },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return new TestServer((server.address() as AddressInfo).port)
}

export const OCTETS = { 'content-type': 'application/octet-stream' }
