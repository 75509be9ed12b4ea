import { defineConfig } from 'vitest/config'
import base from './vitest.config.ts'

const { projects: _, ...shared } = base.test!

/** Kill rounds, system-call faults, long properties: minutes, not seconds. */
export default defineConfig({
  ...base,
  test: {
    ...shared,
    include: ['test/slow/**/*.test.ts'],
    globalSetup: ['test/support/build.ts'],
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
})
