import { z } from 'zod'
import type { OptionShape, OptionTable } from './options.ts'

/**
 * A JSON schema (2020-12) of the file of a table of options, for editors.
 *
 * @param title what the file is
 */
export function optionsSchema<S extends OptionShape>(table: OptionTable<S>, title: string): object {
  const properties = Object.entries(table.shape).map(([name, schema]) => {
    // What a plain option becomes is also how a file writes it; of a section the file has what goes in.
    const io = table.sections.includes(name) ? 'input' : 'output'
    const { $schema: _, ...described } = z.toJSONSchema(schema, { io })
    return [name, described]
  })
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title,
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(properties) as object,
  }
}

/**
 * A file with every plain option at its default, each under its meaning.
 *
 * @param schema where an editor finds the schema, from the file's folder
 */
export function sampleFile<S extends OptionShape>(table: OptionTable<S>, schema: string): string {
  const options = table.list.map(
    ({ name, description, fallback }) =>
      `\n# ${description}\n${name}: ${fallback === '' ? "''" : fallback}\n`,
  )
  return [`# yaml-language-server: $schema=${schema}\n`, ...options].join('')
}
