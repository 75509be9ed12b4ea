import { describe, expect, test } from 'vitest'
// @ts-expect-error A script has no declarations.
import * as report from '../../scripts/api-report.mjs'
import { readText } from './repository.ts'

const { apiReport, publicNames } = report as {
  apiReport: () => string
  publicNames: () => {
    entry: string
    names: { name: string; file: string; documented: boolean; uses: string[] }[]
  }[]
}

/** What signatures name and users neither make nor hand over: inferred from schemas, or left out by the type that they are used in. */
const NOT_NEEDED = [
  'Indexing (dist/log/leaf-index.d.ts)',
  'KeyRecord (dist/access/key-record.d.ts)',
  'LogObserver (dist/log/observer.d.ts)',
  'OptionValues (dist/config/options.d.ts)',
  'Witnessing (dist/log/publisher.d.ts)',
  'key (dist/instance/log-info.d.ts)',
  'options (dist/config/config.d.ts)',
  'version2 (dist/instance/log-info.d.ts)',
]

describe('the names that the package exports', () => {
  test('are those of proto-docs/api-report.md; after a change on purpose, "npm run api-report" writes it', () => {
    expect(apiReport()).toBe(readText('proto-docs/api-report.md'))
  })

  test('have a doc comment each', () => {
    const undocumented = publicNames().flatMap(({ entry, names }) =>
      names.filter(({ documented }) => !documented).map(({ name }) => `${entry}: ${name}`),
    )
    expect(undocumented).toEqual([])
  })

  test('speak of types that can be imported, too', () => {
    const all = publicNames().flatMap(({ names }) => names)
    const exported = new Set(all.map(({ name, file }) => `${name} (${file})`))
    const missing = all.flatMap(({ uses }) => uses.filter((use) => !exported.has(use)))
    expect([...new Set(missing)].toSorted()).toEqual(NOT_NEEDED)
  })
})
