import {
  createWitnessServer,
  DEFAULT_WITNESS_LIMITS,
  type WitnessHttpDeps,
  type WitnessLimits,
} from '../../src/witness/routes.ts'
import type { Witness } from '../../src/witness/witness.ts'
import { TestServer } from '../http/server.ts'
import { listenInTest } from '../support/listen.ts'

export interface ServeWitness extends Partial<Omit<WitnessHttpDeps, 'witness' | 'limits'>> {
  readonly limits?: Partial<WitnessLimits>
}

/** A server over a witness, on a port of its own, closed when the test has finished. */
export async function serveWitness(
  witness: Witness,
  { limits, ...deps }: ServeWitness = {},
): Promise<TestServer> {
  const server = createWitnessServer({
    nowMs: Date.now,
    ...deps,
    witness,
    limits: { ...DEFAULT_WITNESS_LIMITS, ...limits },
  })
  return new TestServer(await listenInTest(server))
}
