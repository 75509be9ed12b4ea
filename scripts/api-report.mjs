// Prints every name that the package exports, entry by entry, with its signature, out of the declarations in dist/.
// `npm run api-report` writes proto-docs/api-report.md; a test compares, so that no change of the public surface goes unseen.
import { readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { argv, stdout } from 'node:process'
import { fileURLToPath } from 'node:url'
// Vite's parser, as in check-imports.mjs.
import { parseAst } from 'vitest/node'

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..')

/** A declaration file, parsed once. */
const files = new Map()

function fileAt(path) {
  if (!files.has(path)) {
    const text = readFileSync(path, 'utf8')
    files.set(path, { path, text, body: parseAst(text, { lang: 'dts' }, path).body })
  }
  return files.get(path)
}

/** Declarations name modules by `./x.ts`, whose declarations are in `x.d.ts`. */
function fileBehind(from, specifier) {
  return fileAt(join(dirname(from.path), specifier.replace(/\.[jt]s$/, '.d.ts')))
}

/** The statements of a file that declare a name, and the file: overloads are several. Follows re-exports and imports. */
function declarationsOf(file, name) {
  const found = file.body.filter((node) => (node.declaration ?? node).id?.name === name)
  const named = file.body.flatMap((node) => (node.declaration ?? node).declarations ?? [])
  if (found.length > 0) return { file, nodes: found }
  if (named.some(({ id }) => id.name === name)) {
    return { file, nodes: file.body.filter((node) => variablesOf(node).includes(name)) }
  }
  for (const node of file.body.filter(({ source }) => source?.value.startsWith('.'))) {
    const link = node.specifiers.find((each) => (each.exported ?? each.local).name === name)
    if (link) return declarationsOf(fileBehind(file, node.source.value), (link.imported ?? link.local).name)
  }
  return undefined
}

function variablesOf(node) {
  return ((node.declaration ?? node).declarations ?? []).map(({ id }) => id.name)
}

/** Where the comment directly above a statement or a member begins, if there is one. */
function hasDoc({ text }, { start }) {
  return text.slice(0, start).trimEnd().endsWith('*/')
}

/** The text of a declaration without comments. */
function signature({ text }, node) {
  const bare = text.slice(node.start, node.end).replaceAll(/\/\*[^]*?\*\//g, '')
  const lines = bare.split('\n').filter((line) => line.trim() !== '')
  return lines.join('\n').replace(/^export (declare )?/, '')
}

/** Names of types and values that a declaration speaks of. */
function namesIn(node, names = new Set()) {
  if (Array.isArray(node)) node.forEach((child) => namesIn(child, names))
  else if (typeof node?.type === 'string') {
    if (node.type === 'TSTypeReference' && node.typeName.type === 'Identifier') names.add(node.typeName.name)
    if (node.type === 'TSTypeQuery' && node.exprName.type === 'Identifier') names.add(node.exprName.name)
    if (node.type === 'TSInterfaceHeritage') names.add(node.expression.name)
    for (const child of Object.values(node)) if (typeof child === 'object') namesIn(child, names)
  }
  return names
}

/** @returns {{ entry: string, names: { name: string, file: string, text: string, documented: boolean, uses: string[] }[] }[]} */
export function publicNames(root = ROOT) {
  const { name: own, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const entries = Object.entries(exports).filter(([, target]) => typeof target === 'object')
  return entries.map(([path, { types }]) => {
    const entry = fileAt(join(root, types))
    const exported = entry.body.flatMap((node) => node.specifiers ?? []).map((each) => each.exported.name)
    const names = exported.toSorted().map((name) => {
      const { file, nodes } = declarationsOf(entry, name)
      const uses = [...namesIn(nodes)].flatMap((use) => {
        const target = declarationsOf(file, use)
        return target ? [`${use} (${relative(root, target.file.path)})`] : []
      })
      const text = nodes.map((node) => signature(file, node)).join('\n')
      return {
        name,
        file: relative(root, file.path),
        text,
        documented: nodes.every((node) => hasDoc(file, node)),
        uses,
      }
    })
    return { entry: own + path.slice(1), names }
  })
}

/** The report, as Markdown. A name that several entries export has its signature at the first. */
export function apiReport(root = ROOT) {
  const seen = new Map()
  const sections = publicNames(root).map(({ entry, names }) => {
    const again = names.filter(({ name, file }) => seen.has(`${name} (${file})`))
    const first = names.filter((each) => !again.includes(each))
    for (const { name, file } of first) seen.set(`${name} (${file})`, entry)
    const list = again.map(({ name, file }) => `\`${name}\` (${seen.get(`${name} (${file})`)})`).join(', ')
    const block = first.map(({ text }) => text).join('\n\n')
    return `## \`${entry}\`\n\n\`\`\`ts\n${block}\n\`\`\`\n${list === '' ? '' : `\nAlso: ${list}.\n`}`
  })
  return `# API report\n\nEvery name that the package exports, with its signature: made by \`npm run api-report\`. [Embedding](embedding.md) says how they are
used; the doc comments in the declarations say what they promise.\n\n${sections.join('\n')}`
}

if (argv[1] && resolve(argv[1]) === fileURLToPath(import.meta.url)) stdout.write(apiReport())
