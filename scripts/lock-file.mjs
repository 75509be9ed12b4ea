// The packages of a lock file (version 3), for what is made from it.
import { readFileSync } from 'node:fs'

/**
 * @param {string} path of a package-lock.json
 * @returns {{ root: object, packages: { path: string, name: string, version: string, license: string | undefined,
 *   integrity: string | undefined, dev: boolean, optional: boolean, needs: string[] }[] }} sorted by path; `needs` are
 *   paths of other packages, for the root too
 */
export function readLockFile(path) {
  const lock = JSON.parse(readFileSync(path, 'utf8'))
  if (lock.lockfileVersion !== 3)
    throw new Error(`${path}: expected lockfileVersion 3, got ${lock.lockfileVersion}`)
  const { '': root, ...rest } = lock.packages
  const packages = Object.entries(rest).map(([at, found]) => ({
    path: at,
    name: found.name ?? at.slice(at.lastIndexOf('node_modules/') + 'node_modules/'.length),
    version: found.version,
    license: found.license,
    integrity: found.integrity,
    dev: found.dev === true || found.devOptional === true,
    optional: found.optional === true || found.devOptional === true,
    needs: needsOf(at, found, rest),
  }))
  return {
    root: { name: root.name, version: root.version, license: root.license, needs: needsOf('', root, rest) },
    packages: packages.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
  }
}

/** Where Node finds what a package asks for: in it, or in one of those that it stands in. */
function needsOf(at, { dependencies = {}, optionalDependencies = {}, devDependencies = {} }, all) {
  const names = Object.keys({ ...devDependencies, ...optionalDependencies, ...dependencies })
  return names.flatMap((name) => {
    const found = foldersUpFrom(at).find((folder) => all[`${folder}node_modules/${name}`])
    return found === undefined ? [] : [`${found}node_modules/${name}`]
  })
}

/** `a/`, and every folder above it that may hold node_modules, up to the root, which is empty. */
function foldersUpFrom(at) {
  const folders = at === '' ? [] : [`${at}/`]
  for (let end = at.lastIndexOf('node_modules/'); end > 0; end = at.lastIndexOf('node_modules/', end - 1)) {
    folders.push(at.slice(0, end))
  }
  return [...folders, '']
}
