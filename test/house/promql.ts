/** What an expression of PromQL speaks of. */
export interface Mentions {
  readonly metrics: readonly { readonly name: string; readonly labels: readonly string[] }[]
  /** Labels of `by`, `on` and the like. */
  readonly grouping: readonly string[]
  readonly functions: readonly string[]
}

const TOKEN =
  /\s+|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\[[^\]]*\]|\$?[A-Za-z_:][\w:]*|[0-9][\w.]*|=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},]/gy
const LISTS = ['by', 'without', 'on', 'ignoring', 'group_left', 'group_right']
const WORDS = ['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan']

/** Reads an expression just far enough to name its metrics and labels. @throws on what it cannot read */
export function mentionsOf(expression: string): Mentions {
  const tokens = tokensOf(expression)
  const metrics: { name: string; labels: string[] }[] = []
  const grouping: string[] = []
  const functions: string[] = []
  let depth = 0
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!
    depth += token === '(' ? 1 : token === ')' ? -1 : 0
    if (depth < 0) throw new Error(`a bracket too many: ${expression}`)
    if (!/^[A-Za-z_:]/.test(token) || WORDS.includes(token.toLowerCase())) continue
    const end = tokens.indexOf(')', at)
    if (LISTS.includes(token)) {
      grouping.push(...tokens.slice(at + 2, end).filter((each) => each !== ','))
      at = end
    } else if (tokens[at + 1] === '(' || LISTS.includes(tokens[at + 1] ?? '')) {
      functions.push(token)
    } else if (tokens[at + 1] === '{') {
      const close = tokens.indexOf('}', at)
      if (close < 0) throw new Error(`a brace is not closed: ${expression}`)
      const matchers = tokens
        .slice(at + 2, close)
        .join(' ')
        .split(' , ')
      metrics.push({ name: token, labels: matchers.map((matcher) => labelOf(matcher, expression)) })
      at = close
    } else metrics.push({ name: token, labels: [] })
  }
  if (depth !== 0) throw new Error(`a bracket too few: ${expression}`)
  return { metrics, grouping, functions }
}

function tokensOf(expression: string): string[] {
  const tokens = expression.match(TOKEN) ?? []
  if (tokens.join('') !== expression) throw new Error(`cannot be read: ${expression}`)
  return tokens.filter((token) => token.trim() !== '')
}

function labelOf(matcher: string, expression: string): string {
  const label = /^([a-z_]+) (?:=|!=|=~|!~) "[^"]*"$/.exec(matcher)?.[1]
  if (label === undefined) throw new Error(`${matcher} is no matcher: ${expression}`)
  return label
}

/** Metrics of an exposition, with the labels of their samples. */
export function exposed(text: string): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>()
  for (const line of text.split('\n')) {
    const [, name, labels = ''] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$/.exec(line) ?? []
    if (name === undefined) continue
    const known = found.get(name) ?? new Set()
    for (const [, label] of labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) known.add(label!)
    found.set(name, known)
  }
  return found
}
