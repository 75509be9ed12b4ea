import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { anchors, headings, links } from './markdown.ts'
import { ROOT, markdownFiles, readText } from './repository.ts'

const pages = markdownFiles()

/** What is wrong with one link of a page, if anything. */
function linkFault(page: string, target: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return undefined
  const [path = '', anchor] = decodeURI(target).split('#')
  if (path.startsWith('/')) return 'is not relative'
  const file = path === '' ? page : join(dirname(page), path)
  if (file.startsWith('..')) return 'leaves the repository'
  if (!existsSync(join(ROOT, file))) return 'does not exist'
  if (anchor === undefined) return undefined
  if (statSync(join(ROOT, file)).isDirectory() || !file.endsWith('.md'))
    return 'has an anchor but is not a page'
  return anchors(readText(file)).has(anchor) ? undefined : 'has no such heading'
}

// Folders of people and of build machines, wherever this happens to be checked out, and this very checkout.
const MACHINE_PATH = /(?<![\w./-])(?:\/(?:home|Users|root|mnt|workspaces?)\/|[A-Z]:\\)\S*/g
const REGISTRY = /\b(?:registry|artifactory|nexus|verdaccio)\.[a-z0-9-]+\.[a-z]{2,}\S*/g

describe('every page', () => {
  test.each(pages)('%s links only to files and headings that exist', (page) => {
    const faults = links(readText(page)).flatMap(({ target, line }) => {
      const fault = linkFault(page, target)
      return fault === undefined ? [] : [`${page}:${line}  ${target} ${fault}`]
    })
    expect(faults).toEqual([])
  })

  test.each(pages)('%s names no path of a particular machine and no package registry', (page) => {
    const text = readText(page)
    expect(text.match(MACHINE_PATH) ?? []).toEqual([])
    expect(text.match(REGISTRY) ?? []).toEqual([])
    expect(text.split(/[\s`'"()]+/).filter((word) => word.startsWith(`${ROOT}/`))).toEqual([])
  })
})

test('the pages that a reader starts from are there', () => {
  expect(pages).toEqual(expect.arrayContaining(['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md']))
})

test('the README marks exactly one block as the test command', () => {
  const marked = readText('README.md').match(
    /^<!-- test-command -->\n```\w*\n(?:[^\n`]+\n)*?[^\n]*npm test\n```$/gm,
  )
  expect(marked).toHaveLength(1)
})

test('every error code has a heading of its own in proto-docs/errors.md, and no heading names a code that is none', () => {
  const [, union = ''] = readText('src/errors.ts').split('export type ErrorCode =')
  const codes = [...union.split('\n\n')[0]!.matchAll(/^ +\| '([a-z_]+)'/gm)].map((match) => match[1]!)
  const documented = headings(readText('proto-docs/errors.md'))
    .map((heading) => /^`([a-z_]+)`$/.exec(heading)?.[1])
    .filter((code) => code !== undefined)
  expect(codes.length).toBeGreaterThan(20)
  expect(documented.toSorted()).toEqual(codes.toSorted())
})
