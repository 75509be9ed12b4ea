import type { Parts } from './configuration.ts'

/** Something that changes what an instance is, or who may use it. */
export interface Act {
  readonly act: string
  /** Key id, subject, or name of the command. */
  readonly by: string
  readonly log?: string
}

/** What is about to change. Nothing of it is secret. */
export interface Planned {
  readonly before: unknown
  readonly after: unknown
  /** The parts of the configuration that change, as they will be; undefined: it goes. */
  readonly parts?: Parts
  /** Entries that the act puts into the log. */
  readonly placed?: { readonly index: number; readonly entries: number }
}

/** Tells what is about to change, once that is known. Resolves when it may be done; if it rejects, it must not be. */
export type Announce = (planned: Planned) => Promise<void>

/** For what nobody records: folders without access control, and tests. */
export const UNANNOUNCED: Announce = () => Promise.resolve()

/** Runs a task that announces what it is about to change. */
export type Administer = <T>(act: Act, task: (announce: Announce) => Promise<T>) => Promise<T>
