import { readFileSync } from 'node:fs'
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { SteleError } from '../errors.ts'

/** A parsed configuration file, with the line of each value. */
export interface ConfigFile {
  readonly path: string
  readonly values: Readonly<Record<string, unknown>>
  /** The YAML errors, each with its place. If there are any, the values must not be used. */
  readonly mistakes: readonly string[]
  /** The place of a name, as `stele.yaml:12`. A path of several names leads to a nested value. */
  at(path: readonly PropertyKey[]): string
}

/**
 * Reads a YAML file of `option: value` lines.
 *
 * @throws SteleError `io_error` if the file cannot be read. Mistakes in it are returned, to be reported with all
 *   others.
 */
export function readConfigFile(path: string): ConfigFile {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new SteleError('io_error', `configuration: ${(error as Error).message}`, { cause: error })
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const placeOf = (offset: number): string => `${path}:${lines.linePos(offset).line}`
  return {
    path,
    ...readValues(document, path, placeOf),
    at: (steps) => placeOf(offsetOf(document, steps)),
  }
}

function readValues(
  document: Document,
  path: string,
  placeOf: (offset: number) => string,
): Pick<ConfigFile, 'values' | 'mistakes'> {
  const faults = [...document.errors, ...document.warnings]
  const mistakes = faults.map(({ code, message, pos }) => `${placeOf(pos[0])}: ${inOurWords(code, message)}`)
  if (mistakes.length > 0) return { values: {}, mistakes }
  let value: unknown
  try {
    // Aliases are counted while they are expanded: a file of a few lines must not become gigabytes.
    value = document.toJS() as unknown
  } catch (error) {
    return { values: {}, mistakes: [`${path}: expected YAML: ${(error as Error).message}`] }
  }
  if (value === null || value === undefined) return { values: {}, mistakes: [] }
  if (isMap(document.contents)) return { values: value as Record<string, unknown>, mistakes: [] }
  return { values: {}, mistakes: [`${path}: expected a list of "option: value" lines`] }
}

function inOurWords(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'this name is there twice; which one is meant?'
  return `expected YAML: ${message}`
}

/** The place of the last name of a path, or of the deepest name on the path that exists. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents
  let offset = 0
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document)
    const found = stepInto(node, step)
    if (!found) break
    offset = found.at?.range?.[0] ?? offset
    node = found.node
  }
  return offset
}

function stepInto(node: unknown, step: PropertyKey): { at: Node | undefined; node: unknown } | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(step)] as Node | undefined
    return item && { at: item, node: item }
  }
  if (!isMap(node)) return undefined
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
  return pair && { at: pair.key as Node, node: pair.value }
}

/**
 * The closest name to one that is not known.
 *
 * @returns undefined if none is close: at most two letters, and a third of the name, may differ
 */
export function nearest(written: string, names: readonly string[]): string | undefined {
  const ranked = names
    .map((name) => ({ name, distance: distance(written.toLowerCase().replaceAll('_', '-'), name) }))
    .toSorted((a, b) => a.distance - b.distance)
  const [best] = ranked
  return best && best.distance <= Math.min(2, written.length / 3) ? best.name : undefined
}

/** The number of letters to insert, delete or replace to turn one text into the other (Levenshtein). */
function distance(a: string, b: string): number {
  // Longer names are not typing errors, and the cost grows with the product of the lengths.
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
