import { readFileSync, readdirSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

/** The repository's own folder. */
export const ROOT = resolve(import.meta.dirname, '../..')

/** Reads a file of the repository as text. */
export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

// What is not part of the repository, and vectors, which came from elsewhere as they are.
const NOT_OURS = ['node_modules', '.git', 'dist', 'data', 'coverage', 'vectors']

/** The repository's Markdown files, relative to its folder. */
export function markdownFiles(folder = ROOT): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return NOT_OURS.includes(entry.name) ? [] : markdownFiles(path)
    return entry.name.endsWith('.md') ? [relative(ROOT, path)] : []
  })
}

/** The scripts of package.json. */
export function packageScripts(): Record<string, string> {
  const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> }
  return scripts
}
