import type { Clock } from '../client/index.ts'
import { findingId, type Finding, type FindingDetail, type FindingKind } from './finding.ts'
import type { Ledger } from './ledger.ts'
import { MOST_REPORTED } from './state.ts'

/** Receives findings. */
export interface Alarm {
  /** Resolves once the finding is out. A finding whose id was raised before in this process is ignored. */
  raise(finding: Finding): Promise<void>
}

/** A problem with a log. */
export interface Problem {
  /** The exact problem. While the subject in one place stays the same, it is one finding. */
  readonly subject: string
  readonly message: string
  readonly detail?: FindingDetail | undefined
  /** Writes the evidence. Called once, with the finding's id, before the finding is raised. */
  readonly evidence?: ((id: string) => Promise<FindingDetail>) | undefined
}

/** Turns problems into findings. A problem is raised once, and returned in every round in which it lasts. */
export class Problems {
  readonly #ledger: Ledger
  readonly #alarm: Alarm
  readonly #clock: Clock
  readonly #about: { readonly log: string; readonly url: string }
  #found: Finding[] = []

  constructor(
    ledger: Ledger,
    alarm: Alarm,
    clock: Clock,
    about: { readonly log: string; readonly url: string },
  ) {
    this.#ledger = ledger
    this.#alarm = alarm
    this.#clock = clock
    this.#about = about
  }

  /** Returns and clears what was found since the last call, including known problems that last. */
  take(): Finding[] {
    return this.#found.splice(0)
  }

  /**
   * Sets the state of one kind of problem in one place: present, or `undefined` for absent.
   *
   * @param place part of the problem's name; each place has its own state
   */
  async settle(kind: FindingKind, place: string, problem: Problem | undefined): Promise<void> {
    const name = `${kind} ${place}`
    const { open, ended } = this.#ledger.state
    const known = open[name]
    if (problem === undefined) {
      if (known === undefined) return
      const { [name]: _, ...rest } = open
      this.#ledger.note({ open: rest, ended: { ...ended, [name]: (ended[name] ?? 0) + 1 } })
    } else if (known?.subject === problem.subject) {
      this.#found.push(this.#finding(known.id, kind, problem, { sinceMs: known.sinceMs }))
    } else {
      const id = findingId(kind, this.#about.log, place, problem.subject, ended[name] ?? 0)
      await this.#raise(id, kind, problem)
      const sinceMs = this.#clock.nowMs()
      this.#ledger.note({ open: { ...open, [name]: { id, subject: problem.subject, sinceMs } } })
    }
  }

  /** Raises a permanent fact, which nothing that the log does later can undo. */
  async report(kind: FindingKind, problem: Problem): Promise<void> {
    const id = findingId(kind, this.#about.log, problem.subject)
    const { reported } = this.#ledger.state
    if (reported.includes(id)) {
      this.#found.push(this.#finding(id, kind, problem))
    } else {
      await this.#raise(id, kind, problem)
      this.#ledger.note({ reported: [...reported, id].slice(-MOST_REPORTED) })
    }
  }

  /** Raises an event that is found at most once, since its source is read once. */
  async raise(kind: FindingKind, id: string, problem: Omit<Problem, 'subject'>): Promise<void> {
    await this.#raise(id, kind, { ...problem, subject: id })
  }

  async #raise(id: string, kind: FindingKind, problem: Problem): Promise<void> {
    const finding = this.#finding(id, kind, problem, await problem.evidence?.(id))
    this.#found.push(finding)
    await this.#alarm.raise(finding)
  }

  #finding(id: string, kind: FindingKind, { message, detail }: Problem, more?: FindingDetail): Finding {
    const foundAt = new Date(this.#clock.nowMs()).toISOString()
    return { id, kind, ...this.#about, foundAt, message, detail: { ...detail, ...more } }
  }
}
