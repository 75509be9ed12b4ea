// Holds the browser line: bundles what stands above it, looks for what only Node has, and runs it without Node.
// `npm run check:browser`, or with another project's root as the argument.
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { argv, exit } from 'node:process'
import { fileURLToPath } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { BROWSER_ROOMS, globalUses, isNodeOnly, parseProgram, sourceFiles } from './check-imports.mjs'

const NODE_GLOBALS = ['Buffer', 'process', 'require', '__dirname', '__filename', 'setImmediate']

// What browsers, workers, Deno and Bun have beside the language itself. A context of node:vm starts with the language
// alone, so that a name missing here is missing for the bundle.
const WEB_GLOBALS = `
  TextEncoder TextDecoder crypto atob btoa structuredClone performance console
  fetch Headers Request Response FormData Blob URL URLSearchParams
  AbortController AbortSignal Event EventTarget DOMException
  ReadableStream WritableStream TransformStream TextDecoderStream DecompressionStream
  setTimeout clearTimeout setInterval clearInterval queueMicrotask
`
  .trim()
  .split(/\s+/)

/** What of the package is for browsers. `stele/verify` reaches below the browser line, for evidence. */
const BROWSER_ENTRIES = [
  ['stele/client', 'client/index.ts'],
  ['stele/verify', 'verify.ts'],
  ['stele/formats', 'formats.ts'],
]

/** Bundles the entry text with src/ as its folder. Throws with file and line for an import that browsers cannot have. */
async function bundle(root, contents, minify) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: join(root, 'src'), sourcefile: 'entry.ts', loader: 'ts' },
    absWorkingDir: root,
    bundle: true,
    write: false,
    platform: 'browser',
    conditions: ['source'],
    target: 'es2022',
    format: 'iife',
    globalName: 'stele',
    minify,
    logLevel: 'silent',
  })
  return outputFiles[0].text
}

/** esbuild writes a comment with the module's path above each module; the last one before a place names it. */
function moduleAt(code, start) {
  return [...code.slice(0, start).matchAll(/^ {2}\/\/ (\S+\.[cm]?[jt]s)$/gm)].at(-1)?.[1] ?? 'the bundle'
}

function nodeUses(code) {
  return globalUses(parseProgram(code, 'bundle.js'), NODE_GLOBALS).map(
    ({ name, start }) =>
      `${moduleAt(code, start)} uses ${name}: ${code.slice(start).split('\n')[0].slice(0, 80)}`,
  )
}

/**
 * Evaluates the bundle where there is no process, no Buffer and no require, and no way to make code from strings,
 * as under a strict content security policy.
 */
function evaluate(code) {
  const globals = Object.fromEntries(WEB_GLOBALS.map((name) => [name, globalThis[name]]))
  const context = createContext(globals, { codeGeneration: { strings: false, wasm: false } })
  runInContext('globalThis.self = globalThis', context)
  runInContext(code, context, { filename: 'bundle.js' })
  return Object.keys(runInContext('stele', context))
}

async function check(root, title, contents) {
  const code = await bundle(root, contents, false)
  const uses = nodeUses(code)
  if (uses.length > 0) throw new Error(uses.join('\n'))
  const minified = await bundle(root, contents, true)
  const names = evaluate(minified)
  if (names.length === 0) throw new Error(`${title}: the bundle exports nothing`)
  const kb = (bytes) => `${(bytes.length / 1000).toFixed(1)} kB`
  console.log(
    `${title}: ${names.length} exports, ${kb(Buffer.from(minified))}, ${kb(gzipSync(minified))} gzip`,
  )
}

async function main(root) {
  const rooms = sourceFiles(join(root, 'src')).filter(
    (file) => BROWSER_ROOMS.includes(file.split('/')[0].replace(/\.ts$/, '')) && !isNodeOnly(file),
  )
  // A namespace each, since files may give the same name to different things.
  const everything = rooms.map((file, i) => `export * as file${i} from './${file}'`).join('\n')
  await check(root, 'everything above the browser line', everything)
  for (const [title, file] of BROWSER_ENTRIES) {
    if (existsSync(join(root, 'src', file))) await check(root, title, `export * from './${file}'`)
  }
}

/** esbuild's errors come as a list with places; any other is one sentence. */
function describe(fault) {
  if (!fault.errors) return fault.name === 'Error' ? fault.message : `it cannot be evaluated: ${fault}`
  const place = (location) => (location ? `${location.file}:${location.line}  ` : '')
  return fault.errors.map(({ text, location }) => place(location) + text).join('\n')
}

await main(resolve(argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..'))).catch((fault) => {
  console.error(`the browser line does not hold:\n${describe(fault)}`)
  exit(1)
})
