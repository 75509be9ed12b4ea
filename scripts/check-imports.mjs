// Finds imports that point the wrong way. `npm run check:imports`, or with another project's root as the argument.
import { readFileSync, readdirSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { argv, exit } from 'node:process'
import { fileURLToPath } from 'node:url'
// Vite's parser, which Vitest hands on: it reads TypeScript and keeps type-only imports, which esbuild erases. Vite now
// calls it parseSync, and Vitest 4 does not hand on that name.
import { parseAst } from 'vitest/node'

/**
 * The module map. A room (a folder of src/, or a file beside them without its `.ts`) imports from itself and from
 * rows above its own; rooms of one row do not know each other. proto-docs/architecture.md says what each one is for.
 */
export const ROWS = [
  ['errors'],
  ['bytes'],
  ['crypto'],
  ['merkle'],
  ['tile', 'note'],
  ['policy'],
  ['client', 'formats'],
  ['storage'],
  ['log', 'access', 'monitor'],
  ['config'],
  ['scrub'],
  ['instance'],
  ['http'],
  ['audit-trail', 'witness'],
  ['mirror'],
  ['server'],
  ['load'],
  ['cli', 'index', 'verify'],
  ['poc'],
]

/** The one file that may use a room below its own: the command that runs it. */
const COMMANDS = { 'cli/commands/poc.ts': 'poc' }

/** The last row that runs in a browser. */
const BROWSER_LINE = rowOf('client')

/** Which files may use a subpath import of package.json: each kind of cryptography enters through one door. */
const DOORS = {
  '#sha256': { may: (file) => file === 'merkle/hash.ts', rule: 'only merkle/hash.ts may' },
  '#ed25519': { may: (file) => roomOf(file) === 'note', rule: 'only note/ may' },
  '#p256': { may: (file) => roomOf(file) === 'note', rule: 'only note/ may' },
  '#mldsa44': { may: (file) => file === 'crypto/mldsa44.ts', rule: 'only crypto/mldsa44.ts may' },
}

/** The rooms that run in a browser: everything above the line. */
export const BROWSER_ROOMS = ROWS.slice(0, BROWSER_LINE + 1).flat()

/** @returns {string[]} the `.ts` files below a folder, with `/` on every system, sorted */
export function sourceFiles(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .toSorted()
}

/** @returns the syntax tree (ESTree) of a TypeScript or JavaScript module. @throws if it cannot be parsed */
export function parseProgram(text, file) {
  return parseAst(text, { lang: 'ts' }, file)
}

/** True for a file that exists only for Node, behind a subpath import. */
export function isNodeOnly(file) {
  return file.endsWith('-node.ts')
}

/**
 * Places where a program uses one of the global names, as values or as types.
 *
 * @param root a syntax tree of `parseProgram`
 * @returns {{ name: string, start: number }[]} in the order of the source
 */
export function globalUses(root, names) {
  const uses = []
  walk(root, (node, parent) => {
    if (node.type !== 'Identifier' || !names.includes(node.name)) return
    if (parent.type === 'MemberExpression' && parent.property === node && !parent.computed) {
      if (parent.object.name !== 'globalThis') return
    }
    if (parent.key === node && !parent.computed && !parent.shorthand) return
    uses.push({ name: node.name, start: node.start })
  })
  return uses
}

/** @returns {{ specifier: string, start: number }[]} everything a file imports: statements, re-exports, calls, types */
function importsOf(root) {
  const kinds = [
    'ImportDeclaration',
    'ExportNamedDeclaration',
    'ExportAllDeclaration',
    'ImportExpression',
    'TSImportType',
    'TSExternalModuleReference',
  ]
  const found = []
  walk(root, (node) => {
    const source = node.source ?? node.expression
    if (kinds.includes(node.type) && source) found.push({ specifier: source.value, start: source.start })
  })
  return found
}

function walk(node, visit, parent = {}) {
  if (Array.isArray(node)) return node.forEach((child) => walk(child, visit, parent))
  if (typeof node?.type !== 'string') return
  visit(node, parent)
  for (const child of Object.values(node)) {
    if (child !== null && typeof child === 'object') walk(child, visit, node)
  }
}

function roomOf(file) {
  return file.split('/')[0].replace(/\.ts$/, '')
}

function rowOf(room) {
  return ROWS.findIndex((row) => row.includes(room))
}

/** What is wrong with the arrow from one room to another, if anything. */
function arrowFault(from, to) {
  if (from === to) return undefined
  if (rowOf(to) < 0) return `"${to}" is not in the module map`
  if (rowOf(from) === rowOf(to)) return `${from} and ${to} do not know each other`
  if (rowOf(from) < rowOf(to)) return `${from} may import only from rows above it, and ${to} is below`
  return undefined
}

/** The fault of one import, if any; `file` and the answer are relative to src/. */
function importFault(file, specifier, packageName) {
  if (typeof specifier !== 'string') return 'the name of an imported module must be a plain string'
  if (specifier.startsWith('.')) return relativeFault(file, specifier)
  if (specifier.startsWith('#')) return doorFault(file, specifier)
  if (specifier === packageName || specifier.startsWith(`${packageName}/`)) {
    return `"${specifier}" is this package: name the file by its relative path`
  }
  const builtin = specifier.startsWith('node:') || builtinModules.includes(specifier)
  return builtin && isPortable(file)
    ? `"${specifier}" above the browser line, outside a *-node.ts file`
    : undefined
}

function relativeFault(file, specifier) {
  const target = join(dirname(file), specifier).split(sep).join('/')
  if (target.startsWith('../')) return `"${specifier}" leaves src/`
  if (isNodeOnly(target) && isPortable(file)) return `"${specifier}" is for Node only: use its subpath import`
  return COMMANDS[file] === roomOf(target) ? undefined : arrowFault(roomOf(file), roomOf(target))
}

function doorFault(file, specifier) {
  const door = DOORS[specifier]
  if (!door) return `"${specifier}" is not in the list of subpath imports in scripts/check-imports.mjs`
  return door.may(file) ? undefined : `"${specifier}": ${door.rule} import it`
}

function isPortable(file) {
  return BROWSER_ROOMS.includes(roomOf(file)) && !isNodeOnly(file)
}

/** @returns {string[]} one line for each fault of a file: `src/a/b.ts:3  what the rule is` */
function faultsOf(src, file, packageName) {
  const text = readFileSync(join(src, file), 'utf8')
  const at = (start, fault) => `src/${file}:${text.slice(0, start).split('\n').length}  ${fault}`
  if (rowOf(roomOf(file)) < 0) return [at(0, `"${roomOf(file)}" is not in the module map`)]
  let root
  try {
    root = parseProgram(text, file)
  } catch (error) {
    return [at(0, `cannot be parsed: ${error.message.split('\n').slice(0, 3).join(' ')}`)]
  }
  const faults = importsOf(root).map(({ specifier, start }) => {
    const fault = importFault(file, specifier, packageName)
    return fault && at(start, fault)
  })
  const uses = isPortable(file) ? globalUses(root, ['Buffer', 'process']) : []
  return [
    ...faults.filter((fault) => fault !== undefined),
    ...uses.map(({ name, start }) => at(start, `${name} above the browser line, outside a *-node.ts file`)),
  ]
}

function main(root) {
  const src = join(root, 'src')
  const files = sourceFiles(src)
  const { name } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const faults = files.flatMap((file) => faultsOf(src, file, name))
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) exit(1)
  console.log(`imports: ${files.length} files, every arrow points the right way`)
}

const here = fileURLToPath(import.meta.url)
if (argv[1] && resolve(argv[1]) === here) main(resolve(argv[2] ?? join(dirname(here), '..')))
