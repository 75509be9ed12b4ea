import { defineConfig } from 'vitest/config'

// `source` makes the package's own subpath imports resolve to src/ instead of dist/.
const conditions = ['source', 'node', 'import', 'module', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/slow/**'],
    globalSetup: ['test/support/build.ts'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    pool: 'forks',
    // Most of the time goes into waiting for disks and processes: with one worker for two cores a run takes twice as long.
    maxWorkers: 2,
  },
})
