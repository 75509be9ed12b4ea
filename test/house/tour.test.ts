import { execFile } from 'node:child_process'
import { readFileSync, symlinkSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { testFolder } from '../support/folder.ts'

/** A command of a tour and what the page says comes back: "…" stands for anything, alone on a line for any lines. */
interface Step {
  readonly command: string
  readonly expected: string
}

/** The steps of a page's tour: the blocks that are marked with its name. */
function stepsOf(markdown: string, mark: string): Step[] {
  const fences = [...markdown.matchAll(/<!-- (tour.*) -->\n```console\n([^]*?)```/g)]
  return fences
    .filter(([, name]) => name === mark)
    .flatMap(([, , fence]) => fence!.split(/^\$ /m).slice(1))
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

/** The page with free ports in place of those that it names, which may be in use here. */
async function withFreePorts(markdown: string): Promise<{ page: string; logPort: number }> {
  const ports = new Map<string, number>()
  for (const [, port] of markdown.matchAll(/127\.0\.0\.1:(\d+)/g)) {
    if (!ports.has(port!)) ports.set(port!, await freePort())
  }
  const page = markdown.replaceAll(
    /(127\.0\.0\.1:|--port )(\d+)/g,
    (_, before: string, port: string) => `${before}${ports.get(port)}`,
  )
  return { page, logPort: ports.get('6962')! }
}

/** Runs the steps in one shell, in a folder in which the clone's build is. @returns what each one printed */
async function walk(steps: readonly Step[], port: number): Promise<string[]> {
  const folder = testFolder()
  for (const name of ['dist', 'node_modules', 'package.json'])
    symlinkSync(`${process.cwd()}/${name}`, `${folder}/${name}`)
  const mark = 'END OF STEP'
  const script = steps.map(({ command }) => `${command}\necho "${mark}"`).join('\n')
  // A step that fails leaves its servers: they must not outlive the shell, nor hold its output open.
  const shell = `set -m\nexec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n${script}\n`
  const { stdout } = await promisify(execFile)('bash', ['-c', shell], {
    cwd: folder,
    env: {
      ...process.env,
      STELE_PORT: String(port),
      STELE_URL: `http://127.0.0.1:${port}/logs/main`,
      NO_COLOR: '1',
    },
    timeout: 120_000,
  })
  return stdout.split(`${mark}\n`)
}

test.each([
  { file: 'README.md', mark: 'tour', atLeast: 15 },
  { file: 'proto-docs/tour.md', mark: 'tour', atLeast: 25 },
  { file: 'proto-docs/witnessed-logs.md', mark: 'tour: witnesses', atLeast: 25 },
])('the tour of $file works word for word', { timeout: 120_000 }, async ({ file, mark, atLeast }) => {
  const { page, logPort } = await withFreePorts(readFileSync(file, 'utf8'))
  // The first command is what made this checkout runnable; the rest runs in a folder of its own.
  const steps = stepsOf(page, mark).filter(({ command }) => !command.startsWith('npm ci'))
  expect(steps.length).toBeGreaterThanOrEqual(atLeast)
  const outputs = await walk(steps, logPort)
  steps.forEach(({ command, expected }, i) => {
    expect(outputs[i], `$ ${command}`).toMatch(patternOf(expected))
  })
})
