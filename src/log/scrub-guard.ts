import { SteleError } from '../errors.ts'
import type { Inspected, StoredId } from '../storage/store.ts'
import type { ScrubMarks } from './scrub-marks.ts'
import { LEAF_INDEX_REGION, regionOf } from './scrub-region.ts'
import type { StoredParts } from './scrub-parts.ts'

/** The same parts, with a mark ahead of every read, and without what has ended the process before: that is not read. */
export function guardedParts(parts: StoredParts, marks: ScrubMarks): StoredParts {
  const { store, index } = parts
  return {
    ...parts,
    store: {
      async inspect(places) {
        const found: Inspected[] = []
        for (const [region, run] of runsOf(places)) {
          if (marks.refuses(region)) {
            found.push(...run.map(() => notRead(`region ${region} of the database`, marks.deathsIn(region))))
            continue
          }
          await marks.enter(region)
          found.push(...(await store.inspect(run)))
        }
        return found
      },
    },
    index: {
      get cursor() {
        return index.cursor
      },
      async lookup(hashes, options) {
        await marks.enter(LEAF_INDEX_REGION)
        return index.lookup(hashes, options)
      },
    },
  }
}

/** Neighbours that are in the same region, in the order in which they were asked for. */
function runsOf(places: readonly StoredId[]): [region: number, run: StoredId[]][] {
  const runs: [number, StoredId[]][] = []
  for (const place of places) {
    const region = regionOf(place)
    const last = runs.at(-1)
    if (last?.[0] === region) last[1].push(place)
    else runs.push([region, [place]])
  }
  return runs
}

function notRead(where: string, deaths: number): SteleError {
  return new SteleError('corrupt', `${where} is not read: the process has ended ${deaths} times while it was`)
}
