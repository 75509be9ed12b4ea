/**
 * Characters that a terminal acts on, or that change the order in which text is read, rather than being shown: C0 and C1
 * controls, DEL, directional marks, embeddings, overrides and isolates, and the two Unicode line separators.
 */
const UNSEEN = '\\u0000-\\u001F\\u007F-\\u009F\\u061C\\u200E\\u200F\\u2028-\\u202E\\u2066-\\u2069'
const ALL = new RegExp(`[${UNSEEN}]`, 'g')
const ALL_BUT_LAYOUT = new RegExp(`(?![\\t\\n])[${UNSEEN}]`, 'g')
const BEYOND_C0 = new RegExp(`(?![\\u0000-\\u001F])[${UNSEEN}]`, 'g')

/** Untrusted text as part of a line. Characters that a terminal would act on are escaped, as in `\u{202e}`. */
export function visible(text: string): string {
  return text.replace(ALL, escaped)
}

/** The same for a whole text, whose line feeds and tabs are its writer's own. */
export function visibleText(text: string): string {
  return text.replace(ALL_BUT_LAYOUT, escaped)
}

/** JSON that means the same, and can be shown: `JSON.stringify` escapes nothing beyond U+001F. */
export function visibleJson(json: string): string {
  return json.replace(BEYOND_C0, (char) => `\\u${hexOf(char).padStart(4, '0')}`)
}

function escaped(char: string): string {
  return `\\u{${hexOf(char)}}`
}

function hexOf(char: string): string {
  return char.codePointAt(0)!.toString(16)
}
