/** Does something for each item, so many at a time. */
export async function eachOf<T>(
  width: number,
  items: Iterable<T>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  // One iterator for all: each takes what comes next.
  const queue = items[Symbol.iterator]()
  const workOff = async (): Promise<void> => {
    for (let next = queue.next(); !next.done; next = queue.next()) await work(next.value)
  }
  await Promise.all(Array.from({ length: width }, workOff))
}
