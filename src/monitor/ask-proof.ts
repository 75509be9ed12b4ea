import { isDenied, type AskProof } from '../client/served-proofs.ts'
import { SteleError } from '../errors.ts'
import { Blamed } from './blame.ts'

/**
 * How a log with private entries is followed without reading them: by the consistency proofs that it serves, which take a
 * key of the role monitor.
 *
 * @param asAnybody true without a key, of a log that never showed an entry: then a refusal is no surprise
 * @returns what throws Blamed `unproven` where the log shows the proof to keys alone, and none was given
 */
export function askWithoutKey(ask: AskProof, asAnybody: () => boolean): AskProof {
  return async (oldSize, newSize) => {
    try {
      return await ask(oldSize, newSize)
    } catch (error) {
      if (!isDenied(error) || !asAnybody()) throw error
      throw new Blamed('unproven', `from ${oldSize}`, keyWanted(oldSize, newSize, error as SteleError))
    }
  }
}

/** No accusation: the log says that it is there, and who may see the proof. */
function keyWanted(oldSize: number, newSize: number, cause: SteleError): SteleError {
  return new SteleError(
    cause.code,
    `that the tree of size ${newSize} extends the accepted one of size ${oldSize} could NOT BE PROVEN: the log shows ` +
      'this proof to callers with a key (the role monitor suffices), and none was given. Nothing speaks against the new ' +
      'head; it is not accepted until the proof is shown',
    { cause },
  )
}
