/**
 * The name that was probably meant.
 *
 * @returns undefined when none is near: at most two letters, and a third of the name, may differ
 */
export function nearest(written: string, names: readonly string[]): string | undefined {
  const ranked = names
    .map((name) => ({ name, distance: distance(written.toLowerCase().replaceAll('_', '-'), name) }))
    .toSorted((a, b) => a.distance - b.distance)
  const [best] = ranked
  return best && best.distance <= Math.min(2, written.length / 3) ? best.name : undefined
}

/** How many letters are to be put in, left out or changed to get from one text to the other (Levenshtein). */
function distance(a: string, b: string): number {
  // Longer ones are nobody's slip of the finger, and the table grows with the product of the lengths.
  if (Math.abs(a.length - b.length) > 2) return Infinity
  let above = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(above[j]! + 1, row[j - 1]! + 1, changed))
    }
    above = row
  }
  return above[b.length]!
}
