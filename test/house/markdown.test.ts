import { expect, test } from 'vitest'
import { anchors, headings, links } from './markdown.ts'

test('links are found in text, images, references and HTML, with their lines', () => {
  const page = [
    'See [one](a.md#x), ![two](b.svg "title")',
    'and [`code`](<c.md>) or [four].',
    '[four]: d.md',
    '<img alt="" src="e.png">',
  ].join('\n')
  expect(links(page).toSorted((a, b) => a.line - b.line)).toEqual([
    { target: 'a.md#x', line: 1 },
    { target: 'b.svg', line: 1 },
    { target: 'c.md', line: 2 },
    { target: 'd.md', line: 3 },
    { target: 'e.png', line: 4 },
  ])
})

test('code is not read as links or headings', () => {
  const page =
    'a `[x](no.md)` b\n```sh\n# not a heading\n[y](no.md)\n```\n~~~\n[z](no.md)\n~~~\n[real](yes.md)\n'
  expect(links(page)).toEqual([{ target: 'yes.md', line: 9 }])
  expect(headings(page)).toEqual([])
})

test('anchors are what GitHub makes of headings', () => {
  const page =
    '# `stale_size`\n## What is found when?\n## A & B\n### [Link](x.md) text\n## A & B\n<a id="own"></a>\n'
  expect([...anchors(page)]).toEqual([
    'stale_size',
    'what-is-found-when',
    'a--b',
    'link-text',
    'a--b-1',
    'own',
  ])
})
