import { expect } from 'vitest'
import { SteleError } from '../../src/errors.ts'
import type { ErrorCode } from '../../src/errors.ts'

/** The code of the SteleError that `act` throws; nothing if it returns. Any other error is passed on. */
export function codeOf(act: () => unknown): ErrorCode | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof SteleError) return error.code
    throw error
  }
}

/** Expects `act` to throw a SteleError with one of these codes. */
export function expectCode(act: () => unknown, ...codes: ErrorCode[]): void {
  expect(codes).toContain(codeOf(act))
}
