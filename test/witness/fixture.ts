import { generateCosignerKey, type CosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { openNote, type VerifiedNote } from '../../src/note/note.ts'
import type { Evidence, EvidenceKeeper, Kept } from '../../src/witness/evidence.ts'
import { originHash } from '../../src/witness/logs.ts'
import { memoryWitnessStore, type WitnessStore } from '../../src/witness/store.ts'
import { Witness, type WitnessParts } from '../../src/witness/witness.ts'
import type { FakeLog } from './fake-log.ts'

export const NAME = 'witness.example/w1'
export const ED25519 = generateCosignerKey(NAME, KEY_TYPE.ed25519Cosignature, new Uint8Array(32).fill(9))
export const ML_DSA = generateCosignerKey(NAME, KEY_TYPE.mlDsa44Cosignature, new Uint8Array(32).fill(9))

/** The second at which the clock of a test witness stands until somebody moves it. */
export const NOW_SECONDS = 1_750_000_000

/** A witness over memory, with what it kept and said. */
export interface TestWitness {
  readonly witness: Witness
  readonly store: WitnessStore
  readonly evidence: MemoryEvidence
  readonly clock: { seconds: number }
  /** What was told to the operator. */
  readonly told: [kind: string, kept: string][]
  /** The note that it serves for a log, opened with the log's keys and its own. */
  served(log: FakeLog): VerifiedNote | undefined
}

export interface TestWitnessOptions extends Partial<Omit<WitnessParts, 'logs' | 'keys'>> {
  readonly keys?: readonly CosignerKey[]
}

/** A witness of these logs. It cosigns with Ed25519 alone by default, for that is faster. */
export function testWitness(logs: readonly FakeLog[], options: TestWitnessOptions = {}): TestWitness {
  const { keys = [ED25519], store = memoryWitnessStore(), ...parts } = options
  const evidence = new MemoryEvidence()
  const clock = { seconds: NOW_SECONDS }
  const told: [string, string][] = []
  const witness = new Witness({
    logs: logs.map((log) => log.asWitnessed),
    keys,
    store,
    evidence,
    nowMs: () => clock.seconds * 1000,
    events: {
      contradiction: (found, kept) => told.push([found.kind, typeof kept === 'string' ? kept : kept.code]),
    },
    ...parts,
  })
  const served = (log: FakeLog): VerifiedNote | undefined => {
    const note = store.get(originHash(log.origin))?.note
    const verifiers = [...log.asWitnessed.keys, ...keys.map(({ verifier }) => verifier)]
    return note === undefined ? undefined : openNote(note, verifiers)
  }
  return { witness, store, evidence, clock, told, served }
}

/** Evidence in memory. */
export class MemoryEvidence implements EvidenceKeeper {
  readonly kept: Evidence[] = []

  async keep(evidence: Evidence): Promise<Kept> {
    this.kept.push(evidence)
    return 'kept'
  }
}

/** What a witness answered, in short: the kind, and the size or the code. */
export async function outcome(answer: ReturnType<Witness['addCheckpoint']>): Promise<string> {
  const answered = await answer
  if (answered.kind === 'conflict') return `conflict ${answered.size}`
  return answered.kind === 'refused' ? answered.error.code : answered.kind
}
