import type { Submission } from './submissions.ts'

/** Most bytes of one batch: half of what a server takes by default, so that its own bound is never met. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024

/** Gathers submissions into batches of at most `most` entries. */
export async function* inBatches(
  submissions: AsyncIterable<Submission>,
  most: number,
): AsyncGenerator<Submission[], void, undefined> {
  let batch: Submission[] = []
  let bytes = 0
  for await (const submission of submissions) {
    const size = submission.entry.length + 2
    if (batch.length === most || (batch.length > 0 && bytes + size > MAX_BATCH_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(submission)
    bytes += size
  }
  if (batch.length > 0) yield batch
}
