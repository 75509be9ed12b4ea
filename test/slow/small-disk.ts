import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { onTestFinished } from 'vitest'
import { testFolder } from '../support/folder.ts'

/** Why this machine has no small disks for tests, if it has none. */
export function whyNoMount(): string | undefined {
  const folder = '/tmp/stele-mount-probe'
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

/** Leaves this much room on the disk. */
export function fill(disk: string, leaveBytes: number): void {
  const { bavail, bsize } = statfsSync(disk)
  writeFileSync(`${disk}/filler`, Buffer.alloc(bavail * bsize - leaveBytes))
}
