import { defineConfig } from 'vitest/config'

// `source` makes the package's own subpath imports resolve to src/ instead of dist/.
const conditions = ['source', 'node', 'import', 'module', 'default']

/** Tests that run dist/: whole processes, and what is said of the package. */
const BUILT = [
  'test/{bench,house,poc,process}/**/*.test.ts',
  'test/cli/{bin,process}.test.ts',
  'test/instance/open-files.test.ts',
  'test/server/tls.test.ts',
]

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    testTimeout: 20_000,
    hookTimeout: 20_000,
    pool: 'forks',
    // Most of the time goes into waiting for disks and processes: with one worker for two cores a run takes twice as long.
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: { name: 'source', include: ['test/**/*.test.ts'], exclude: ['test/slow/**', ...BUILT] },
      },
      {
        extends: true,
        test: { name: 'built', include: BUILT, globalSetup: ['test/support/build.ts'] },
      },
    ],
  },
})
