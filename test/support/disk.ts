import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { onTestFinished } from 'vitest'
import { testFolder } from './folder.ts'

/** Why no small file system can be mounted here; undefined where one can. */
export function whyNoMount(): string | undefined {
  const folder = `/tmp/stele-mount-probe-${process.pid}`
  try {
    mkdirSync(folder, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'stele', folder], { stdio: 'pipe' })
    execFileSync('umount', [folder], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `a small file system cannot be mounted here: ${(error as Error).message.trim()}`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A small file system of the test's own. */
export function mountedDisk(mib: number): string {
  const folder = testFolder()
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'stele', folder])
  onTestFinished(() => void execFileSync('umount', [folder]))
  return folder
}

/** Leaves at most this much room on the disk. Remove the file `filler` to make it roomy again. */
export function fill(disk: string, leaveBytes: number): void {
  const { bavail, bsize } = statfsSync(disk)
  const bytes = Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes))
  try {
    writeFileSync(`${disk}/filler`, bytes, { flag: 'a' })
  } catch (error) {
    // Somebody else was faster, so it is full.
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}
