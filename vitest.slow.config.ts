import { defineConfig } from 'vitest/config'
import base from './vitest.config.ts'

/** Kill rounds, system-call faults, long properties: minutes, not seconds. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['test/slow/**/*.test.ts'],
    exclude: [],
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
})
