// A bill of materials (CycloneDX 1.5, JSON) from the lock file alone: `node scripts/sbom.mjs [--production]`.
// The same lock file gives the same bytes: no time, no random number, no name of a folder.
import { createHash } from 'node:crypto'
import { dirname, join, resolve } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { readLockFile } from './lock-file.mjs'

/**
 * @param {ReturnType<typeof readLockFile>} lock
 * @param {boolean} production leaves out what only development needs
 */
export function sbomOf(lock, production = false) {
  const packages = lock.packages.filter(({ dev }) => !(production && dev))
  const refs = new Map(packages.map((found) => [found.path, refOf(found)]))
  const root = { ...lock.root, path: '' }
  const known = (needs) => sorted(needs.flatMap((path) => refs.get(path) ?? []))
  const components = unique(packages.map(componentOf))
  const dependencies = unique(
    [root, ...packages].map((found) => ({ ref: refOf(found), dependsOn: known(found.needs) })),
  )
  const body = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      lifecycles: [{ phase: 'pre-build' }],
      component: { 'bom-ref': refOf(root), ...describe(root, 'application') },
    },
    components,
    dependencies,
  }
  return { $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json', serialNumber: serialOf(body), ...body }
}

/** Each once, in an order that does not hang on the machine's language. */
function sorted(refs) {
  return [...new Set(refs)].toSorted((a, b) => (a < b ? -1 : 1))
}

function componentOf(found) {
  const [, base64] = /^sha512-(\S+)/.exec(found.integrity ?? '') ?? []
  const hash = base64 && { alg: 'SHA-512', content: Buffer.from(base64, 'base64').toString('hex') }
  return {
    'bom-ref': refOf(found),
    ...describe(found, 'library'),
    scope: found.dev ? 'excluded' : found.optional ? 'optional' : 'required',
    ...(hash ? { hashes: [hash] } : {}),
  }
}

function describe({ name, version, license }, type) {
  const licenses =
    license === undefined
      ? []
      : [license.includes(' ') ? { expression: license } : { license: { id: license } }]
  return { type, name, version, purl: purlOf(name, version), licenses }
}

function refOf({ name, version }) {
  return `${name}@${version}`
}

/** https://github.com/package-url/purl-spec: the at sign of a scope is escaped, its slash is not. */
function purlOf(name, version) {
  return `pkg:npm/${name.replace(/^@/, '%40')}@${version}`
}

/** One package in two places is one component; what it needs in either place it needs. */
function unique(list) {
  const found = new Map()
  for (const each of list) {
    const ref = each['bom-ref'] ?? each.ref
    const before = found.get(ref)
    if (!before) found.set(ref, each)
    else if (before.dependsOn) before.dependsOn = sorted([...before.dependsOn, ...each.dependsOn])
    else if (before.scope === 'excluded') before.scope = each.scope
  }
  return [...found.values()]
}

/** A UUID (version 8, of our own making) that stands for the content. */
function serialOf(body) {
  const hex = createHash('sha256').update(JSON.stringify(body)).digest('hex')
  const variant = ((parseInt(hex[16], 16) % 4) + 8).toString(16)
  return `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

const here = fileURLToPath(import.meta.url)
if (argv[1] && resolve(argv[1]) === here) {
  const lock = readLockFile(join(dirname(here), '..', 'package-lock.json'))
  console.log(JSON.stringify(sbomOf(lock, argv.includes('--production')), null, 2))
}
