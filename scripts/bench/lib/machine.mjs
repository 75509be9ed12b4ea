// Where figures come from: without this they mean nothing.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os'
import { version as nodeVersion } from 'node:process'

/** The machine, its software, and what is measured. */
export async function describeMachine(folder, root) {
  const { version } = JSON.parse(await readFile(`${root}/package.json`, 'utf8'))
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    os: `${platform()} ${release()} ${arch()}`,
    fileSystem: fileSystemOf(folder),
    node: nodeVersion,
    stele: version,
    commit: commitOf(root),
    loadAtStart: loadavg().map((load) => Number(load.toFixed(2))),
  }
}

/** Type of the file system that a folder is on: the longest mount point that it lies below. */
function fileSystemOf(folder) {
  try {
    const mounts = readFileSync('/proc/mounts', 'utf8').trim().split('\n')
    const fitting = mounts
      .map((line) => line.split(' '))
      .filter(([, point]) => point === '/' || folder === point || folder.startsWith(`${point}/`))
    return fitting.toSorted((a, b) => a[1].length - b[1].length).at(-1)?.[2] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}

function commitOf(root) {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: 'pipe' }).trim()
  try {
    const changed = git('status', '--porcelain', '--', 'src', 'package-lock.json') ? ' with changes' : ''
    return git('rev-parse', '--short=12', 'HEAD') + changed
  } catch {
    return 'unknown'
  }
}

/** One line for people. */
export function machineLine(machine) {
  const { cpu, cores, memoryGib, fileSystem, node, stele, commit } = machine
  return (
    `${cpu}, ${cores} cores, ${memoryGib} GiB, ${fileSystem}, Node ${node}; ` +
    `stele ${stele} (${commit}); servers and load generator share these cores`
  )
}
