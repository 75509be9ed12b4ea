/**
 * Runs a task for every item, several at a time, and gives the results in the order of the items.
 *
 * @param items taken one by one as there is room, so they may be without end
 * @param atATime most tasks under way, which also bounds what is held in memory
 */
export async function* inOrder<T, R>(
  items: Iterable<T>,
  atATime: number,
  task: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const underWay: Promise<R>[] = []
  for (const item of items) {
    const running = task(item)
    // A promise that fails while an earlier one is still awaited has no listener yet, and never gets one if the caller
    // stops early. That is not an error, so it must not end the process as an unhandled rejection.
    running.catch(() => undefined)
    underWay.push(running)
    if (underWay.length >= atATime) yield await underWay.shift()!
  }
  while (underWay.length > 0) yield await underWay.shift()!
}

/** All results of {@link inOrder}. */
export async function allInOrder<T, R>(
  items: Iterable<T>,
  atATime: number,
  task: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  for await (const result of inOrder(items, atATime, task)) results.push(result)
  return results
}
