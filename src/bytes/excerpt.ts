import { visibleJson } from './visible.ts'

// Longest piece of a caller's text that an error message repeats.
const MOST = 40

/** A caller's text as an error message may show it: quoted, control characters escaped, cut short. */
export function excerpt(text: string): string {
  return visibleJson(JSON.stringify(text.length <= MOST ? text : `${text.slice(0, MOST)}…`))
}
