// All measurements, in the order in which they are made: those that want a quiet disk first.
import * as access from './access.mjs'
import * as audit from './audit.mjs'
import * as batches from './batches.mjs'
import * as crowd from './crowd.mjs'
import * as lone from './lone.mjs'
import * as memory from './memory.mjs'
import * as opening from './opening.mjs'
import * as post from './post.mjs'
import * as proofs from './proofs.mjs'
import * as sustained from './sustained.mjs'
import * as syncs from './syncs.mjs'
import * as tiles from './tiles.mjs'
import * as verify from './verify.mjs'
import * as witness from './witness.mjs'

/**
 * One measurement.
 *
 * @typedef {object} Context
 * @property {import('../lib/options.mjs').Options['sizes']} sizes
 * @property {import('../lib/options.mjs').Options['kind']} kind
 * @property {import('../lib/data.mjs').Workspace} space
 * @property {(text: string) => void} progress
 * @property {(text: string) => void} warn
 *
 * @typedef {{ name: string, title: string, run: (context: Context) => Promise<import('../lib/rows.mjs').Row[]> }} Measure
 */

/** @type {readonly Measure[]} */
export const MEASURES = [
  post,
  batches,
  access,
  sustained,
  lone,
  witness,
  proofs,
  tiles,
  audit,
  verify,
  opening,
  memory,
  crowd,
  syncs,
]
