import { execFile } from 'node:child_process'
import { readFileSync, symlinkSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { testFolder } from '../support/folder.ts'

/** A command of the README and what it says comes back: "…" stands for anything, alone on a line for any lines. */
interface Step {
  readonly command: string
  readonly expected: string
}

function stepsOf(markdown: string): Step[] {
  const fences = [...markdown.matchAll(/<!-- tour -->\n```console\n([^]*?)```/g)].map(([, fence]) => fence!)
  return fences
    .flatMap((fence) => fence.split(/^\$ /m).slice(1))
    .map((text) => {
      const [command, ...lines] = text.trimEnd().split('\n')
      return { command: command!, expected: lines.join('\n') }
    })
}

function patternOf(expected: string): RegExp {
  const lines = expected.split('\n').map((line) => {
    if (line === '…') return '(?:.*\\n)*?'
    return `${line.split('…').map(escapeRegExp).join('.*')}\\n`
  })
  return new RegExp(`^${expected === '' ? '' : lines.join('')}$`)
}

function escapeRegExp(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0)
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

test('the tour works word for word', async () => {
  const port = await freePort()
  const readme = readFileSync('README.md', 'utf8').replaceAll('127.0.0.1:6962', `127.0.0.1:${port}`)
  // The first command is what made this checkout runnable; the rest runs in a folder of its own.
  const steps = stepsOf(readme).filter(({ command }) => !command.startsWith('npm ci'))
  expect(steps.length).toBeGreaterThan(15)
  const folder = testFolder()
  for (const name of ['dist', 'node_modules', 'package.json'])
    symlinkSync(`${process.cwd()}/${name}`, `${folder}/${name}`)
  const mark = 'END OF STEP'
  const script = steps.map(({ command }) => `${command}\necho "${mark}"`).join('\n')
  const { stdout } = await promisify(execFile)('bash', ['-c', `set -m\nexec 2>&1\n${script}\n`], {
    cwd: folder,
    env: {
      ...process.env,
      STELE_PORT: String(port),
      STELE_URL: `http://127.0.0.1:${port}/logs/main`,
      NO_COLOR: '1',
    },
    timeout: 120_000,
  })
  const outputs = stdout.split(`${mark}\n`)
  steps.forEach(({ command, expected }, i) => {
    expect(outputs[i], `$ ${command}`).toMatch(patternOf(expected))
  })
}, 120_000)
