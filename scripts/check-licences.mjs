// Finds packages whose licence nobody has agreed to. `npm run check:licences`, or with another project's root as the
// argument. What is installed is asked, not the lock file: the licence is what came with the code.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { argv, exit } from 'node:process'
import { fileURLToPath } from 'node:url'
import { readLockFile } from './lock-file.mjs'

/** What may go to users along with this program: permissive, with nothing to do but to keep the notice. */
const SHIPPED = [
  'MIT',
  'Apache-2.0',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'Unlicense',
]
/** What tools may have beside these: they are run here, and not handed on. */
const TOOLS = [...SHIPPED, 'MPL-2.0', 'Python-2.0', 'CC-BY-4.0']

/**
 * True where an expression (SPDX) can be satisfied by the list: one side of an OR, both sides of an AND.
 *
 * @param {string} expression
 * @param {readonly string[]} allowed
 */
export function isAllowed(expression, allowed) {
  const plain = expression.trim()
  if (/[()]/.test(plain)) {
    const inner = /^\(([^()]*)\)$/.exec(plain)?.[1]
    // Deeper ones are for a person to read.
    return inner !== undefined && isAllowed(inner, allowed)
  }
  const sides = plain.split(/ OR /)
  return sides.some((side) => side.split(/ AND /).every((id) => allowed.includes(id.trim())))
}

/** @returns {string[]} one line for each fault */
export function faultsOf(root) {
  const { packages } = readLockFile(join(root, 'package-lock.json'))
  return packages.flatMap(({ path, name, version, dev, license }) => {
    const file = join(root, path, 'package.json')
    if (!existsSync(file)) return []
    const said = licenceIn(JSON.parse(readFileSync(file, 'utf8')))
    if (said === undefined) return [`${name}@${version}  names no licence`]
    if (license !== undefined && license !== said)
      return [`${name}@${version}  is ${said}, the lock file says ${license}`]
    if (isAllowed(said, dev ? TOOLS : SHIPPED)) return []
    return [`${name}@${version}  ${said} is not in the list of scripts/check-licences.mjs`]
  })
}

/** Old packages write it as an object, or as a list of them. */
function licenceIn({ license, licenses }) {
  const named = license ?? licenses
  if (Array.isArray(named)) return named.map((each) => each.type ?? each).join(' OR ')
  return typeof named === 'object' && named !== null ? named.type : named
}

const here = fileURLToPath(import.meta.url)
if (argv[1] && resolve(argv[1]) === here) {
  const faults = faultsOf(resolve(argv[2] ?? join(dirname(here), '..')))
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) exit(1)
  console.log('licences: every installed package has one of the list')
}
