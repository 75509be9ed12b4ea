import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const folder = import.meta.dirname
const readme = readFileSync(join(folder, 'README.md'), 'utf8')
const named = [...readme.matchAll(/^\| `(.+?\.json)` \| (.+?) \| (.+?) \| (.+?) \|$/gm)].map(
  ([, file, source, licence, users]) => ({ file: file!, source: source!, licence: licence!, users: users! }),
)

interface VectorFile {
  readonly origin: { readonly repo: string; readonly commit?: string; readonly licence: string }
}

test('every file of vectors is named once in the README, and every file named there exists', () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'))
  expect(named.map(({ file }) => file)).toEqual(files.toSorted())
})

test.each(named)('$file has the source and the licence that the README says', ({ file, source, licence }) => {
  const { origin } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as VectorFile
  if (origin.commit === undefined) {
    expect(source).toBe('this project')
  } else {
    expect(source).toBe(`${origin.repo.replace('github.com/', '')} @ ${origin.commit.slice(0, 12)}`)
    expect(origin.licence).toContain(licence)
  }
})

test('what the README says is used by tests is imported there', () => {
  for (const { file, users } of named) {
    for (const [, tests] of users.matchAll(/`(test\/[a-z]+)`/g)) {
      const root = join(folder, '..', '..', tests!)
      const sources = readdirSync(root).filter((name) => name.endsWith('.ts'))
      const isUsed = sources.some((name) => readFileSync(join(root, name), 'utf8').includes(`/vectors/${file}`))
      expect(`${file} in ${tests}: ${isUsed}`).toBe(`${file} in ${tests}: true`)
    }
  }
})
