import * as fc from 'fast-check'
import { SteleError } from '../../src/errors.ts'
import { spoilt } from './mutate.ts'
import { fuzzedParsers, type Fuzzed } from './parsers.ts'

/** Gives each parser spoilt input. @returns whatever was thrown that its callers are not told of */
export async function fuzzParsers(numRuns: number): Promise<string[]> {
  const faults: string[] = []
  for (const fuzzed of await fuzzedParsers()) {
    // What is spoilt is good to begin with.
    for (const sample of fuzzed.samples) fuzzed.parse(sample)
    try {
      fc.assert(
        fc.property(spoilt(fuzzed.samples), (bytes) => readOrRefuse(fuzzed, bytes)),
        { numRuns },
      )
    } catch (error) {
      faults.push(`${fuzzed.name}: ${(error as Error).message}`)
    }
  }
  return faults
}

function readOrRefuse({ parse, codes }: Fuzzed, bytes: Uint8Array): void {
  try {
    parse(bytes)
  } catch (error) {
    if (!(error instanceof SteleError) || !codes.includes(error.code)) throw error
  }
}

/** What is quick in any case is not measured against itself. */
const QUICK_MS = 60
/** Eight times as much may take this many times as long: in proportion would be 8, with its square 64. */
const MOST_RATIO = 32

/** Parsers whose time grows faster than their input. */
export async function slowParsers(size: number): Promise<string[]> {
  const slow: string[] = []
  for (const fuzzed of await fuzzedParsers()) {
    fuzzed.big.forEach((big, i) => {
      const large = leastMs(fuzzed, big(size * 8))
      if (large < QUICK_MS) return
      const ratio = large / Math.max(1, leastMs(fuzzed, big(size)))
      if (ratio > MOST_RATIO)
        slow.push(`${fuzzed.name}, big input ${i}: ${Math.round(large)} ms, ratio ${Math.round(ratio)}`)
    })
  }
  return slow
}

/** The least of some runs: what else goes on at this machine only ever adds. */
function leastMs({ parse }: Fuzzed, bytes: Uint8Array): number {
  let least = Infinity
  for (let run = 0; run < 5 && least > QUICK_MS / 4; run++) {
    const startedMs = performance.now()
    try {
      parse(bytes)
    } catch (error) {
      if (!(error instanceof SteleError)) throw error
    }
    least = Math.min(least, performance.now() - startedMs)
  }
  return least
}
