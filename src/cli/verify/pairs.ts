import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { SteleError } from '../../errors.ts'
import { STDIN } from '../files/input.ts'

/** A proof file and the entry that it is held against; what has no partner says so, and counts as a failure. */
export type Pair =
  | { readonly proof: string; readonly entry: string }
  | { readonly proof: string; readonly missing: string }
  | { readonly entry: string; readonly missing: string }

const PROOF = '.tlog-proof'

/** True for an argument that stands for many proofs. @throws SteleError `io_error` */
export async function isFolder(path: string): Promise<boolean> {
  if (path === STDIN) return false
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    // What is wrong with a file is said when it is read.
    if ((error as NodeJS.ErrnoException).code !== undefined) return false
    throw error
  }
}

/**
 * The pairs of a folder. For `x.tlog-proof` the entry is the file `x` beside it or, if there is none, the only file there
 * whose name is `x`, a dot and one extension (`x.txt`). Files whose names begin with a dot are left out; any other file
 * without a proof, and any folder, is listed as one that nothing was verified of.
 *
 * @param others files of the folder that are neither proof nor entry: keys, policies
 * @throws SteleError `io_error`; `usage` for a folder without proof files
 */
export async function pairsIn(folder: string, others: readonly string[] = []): Promise<Pair[]> {
  const left = new Set(others.map((path) => resolve(path)))
  const found = (await contents(folder)).filter(({ name }) => !left.has(resolve(folder, name)))
  const names = found.filter((each) => !each.isDirectory()).map(({ name }) => name)
  const proofs = names.filter((name) => name.endsWith(PROOF))
  if (proofs.length === 0) throw new SteleError('usage', `${folder}: expected a folder with *${PROOF} files`)
  const pairs = proofs.map((name) => pairOf(folder, name, names))
  const used = new Set(pairs.flatMap((pair) => ('entry' in pair ? [pair.entry] : [])))
  const alone = found
    .filter(({ name }) => !name.endsWith(PROOF) && !used.has(join(folder, name)))
    .map((each) => ({
      entry: join(folder, each.name),
      missing: each.isDirectory() ? 'a folder, which is not looked into' : `there is no proof of it here`,
    }))
  return [...pairs, ...alone]
}

/** The pair of one proof file, with the entry beside it. @throws SteleError `io_error` */
export async function pairBeside(proof: string): Promise<Pair> {
  const folder = dirname(proof)
  const names = (await contents(folder)).filter((each) => !each.isDirectory()).map(({ name }) => name)
  const pair = pairOf(folder, basename(proof), names)
  return { ...pair, proof }
}

function pairOf(folder: string, name: string, names: readonly string[]): Pair & { readonly proof: string } {
  const proof = join(folder, name)
  if (!name.endsWith(PROOF))
    return { proof, missing: `its name does not end with ${PROOF}, so none leads to its entry` }
  const base = name.slice(0, -PROOF.length)
  if (names.includes(base)) return { proof, entry: join(folder, base) }
  const [first, ...more] = names.filter((other) => isExtended(base, other))
  if (first === undefined)
    return { proof, missing: `there is no ${base} and no ${base}.txt or the like beside it` }
  if (more.length > 0)
    return { proof, missing: `expected one entry beside it, got ${[first, ...more].join(', ')}` }
  return { proof, entry: join(folder, first) }
}

function isExtended(base: string, name: string): boolean {
  return name.startsWith(`${base}.`) && !name.endsWith(PROOF) && !name.slice(base.length + 1).includes('.')
}

async function contents(folder: string): Promise<Dirent[]> {
  try {
    const all = await readdir(folder, { withFileTypes: true })
    return all.filter(({ name }) => !name.startsWith('.')).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    throw new SteleError('io_error', `${folder}: ${(error as Error).message}`, { cause: error })
  }
}
