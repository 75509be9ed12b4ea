/** The examples of a command, for the end of its `--help`: what to type, and what it does. */
export function examples(...lines: readonly (readonly [string, string])[]): string {
  return `\nExamples:\n${lines.map(([command, meaning]) => `  $ ${command}\n      ${meaning}`).join('\n')}\n`
}
