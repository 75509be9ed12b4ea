import { execFileSync } from 'node:child_process'

/** Tests that start whole processes run dist/; building first keeps it from being yesterday's. */
export default function setup(): void {
  execFileSync('npx', ['--no-install', 'tsc', '-p', 'tsconfig.build.json'], { stdio: 'inherit' })
}
