/** Lets the scrubbers of one process read one at a time, however many logs it has. */
export class ScrubTurns {
  #last: Promise<unknown> = Promise.resolve()

  /**
   * Does the work when all that asked before have done theirs.
   *
   * @returns undefined when it was stopped while it waited
   */
  async take<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | undefined> {
    const before = this.#last
    let done!: () => void
    const mine = new Promise<void>((resolve) => (done = resolve))
    // Whoever gives up waiting leaves the next one waiting for the one before.
    this.#last = before.then(() => mine)
    try {
      await untilAborted(before, signal)
      return signal.aborted ? undefined : await work()
    } finally {
      done()
    }
  }
}

async function untilAborted(waiting: Promise<unknown>, signal: AbortSignal): Promise<void> {
  let stop!: () => void
  const stopped = new Promise<void>((resolve) => (stop = resolve))
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  await Promise.race([waiting, stopped])
  signal.removeEventListener('abort', stop)
}
