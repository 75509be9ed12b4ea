/** Markdown without what is shown and not meant: fenced blocks and code spans, blanked so that lines stay. */
export function withoutCode(markdown: string): string {
  const blank = (text: string): string => text.replaceAll(/[^\n]/g, ' ')
  return markdown
    .replaceAll(/^( *)(```+|~~~+)[^\n]*\n[\s\S]*?^ *\2[`~]* *$/gm, blank)
    .replaceAll(/(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)/g, blank)
}

/** The texts of all headings, with their markup, in order. Both `# x` and underlined ones. */
export function headings(markdown: string): string[] {
  const fences = markdown.replaceAll(/^( *)(```+|~~~+)[^\n]*\n[\s\S]*?^ *\2[`~]* *$/gm, '')
  return [...fences.matchAll(/^#{1,6} +(.+?) *#* *$|^([^\n]+)\n(?:=+|-+) *$/gm)]
    .map((match) => (match[1] ?? match[2] ?? '').trim())
    .filter((text) => text !== '' && !text.startsWith('|'))
}

/** The anchors that a page offers: its headings, as GitHub turns them into ids, and ids written as HTML. */
export function anchors(markdown: string): Set<string> {
  const found = new Set<string>()
  for (const heading of headings(markdown)) {
    const slug = slugOf(heading)
    let name = slug
    for (let n = 1; found.has(name); n++) name = `${slug}-${n}`
    found.add(name)
  }
  for (const match of markdown.matchAll(/<a [^>]*?\b(?:id|name)="([^"]+)"/g)) found.add(match[1]!)
  return found
}

function slugOf(heading: string): string {
  return heading
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/<[^>]+>/g, '')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '')
    .replaceAll(' ', '-')
}

/** Where each link or image of a page leads, with its line (1-based): inline links and reference definitions. */
export function links(markdown: string): { target: string; line: number }[] {
  const text = withoutCode(markdown)
  const inline = /\]\(\s*<?([^\s)>]+)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/g
  const reference = /^ {0,3}\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)/gm
  const html = /<(?:img|a|source)\s[^>]*?\b(?:src|href|srcset)="([^"]+)"/g
  return [inline, reference, html].flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => ({
      target: match[1]!,
      line: text.slice(0, match.index).split('\n').length,
    })),
  )
}
