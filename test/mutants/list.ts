// Faults put into the core on purpose, one at a time, each a change of text. What fits nowhere, or in several
// places, is an error: the core has changed, and the fault is to be written anew. Lines that are short and
// stay as they are make good places.

import { type Change, type Mutant, one } from './mutant.ts'
import { WAIT_MUTANTS } from './wait-mutants.ts'

const SCHEDULER = 'queue/scheduler.ts'
const ADMISSION = 'sources/admission.ts'
const BACKOFF = 'queue/retry-policy.ts'
const DISPATCHER = 'dispatcher.ts'
const LANES = 'queue/lanes.ts'
const OUTBOX = 'store/sqlite/outbox.ts'
const UNANSWERED = 'store/sqlite/unanswered.ts'
const INBOUND = 'sources/inbound.ts'
const CHECKPOINT = 'sources/checkpoint.ts'
const SET_ASIDE = 'sources/set-aside.ts'
const QUEUE = 'queue/queue.ts'
const BLAME = 'workers/blame.ts'
const CHILD = 'workers/worker.ts'
const POOL = 'workers/pool.ts'

export const MUTANTS: readonly Mutant[] = [
  // What is on disk before what.
  one(
    'a message runs though its claim did not get to disk',
    DISPATCHER,
    '      return failed(error)\n',
    `      failed(error)
      for (const { runs } of assignments)
        for (const { entry } of runs)
          if (entry.message.state.type === 'ready') this.#parts.queue.move(entry.message, { type: 'claiming', entry })
      return this.#run(assignments, { refused: new Set(), journals: new Map() })\n`,
  ),
  one(
    'a message runs again before its end is on disk',
    DISPATCHER,
    '      this.#gathered.results.push({ entry, run, attempt, outcome, durationMs, next, aheadMs })\n',
    `      this.#gathered.results.push({ entry, run, attempt, outcome, durationMs, next, aheadMs })
      if (next.type === 'released') queue.move(entry.message, { type: 'ready', entry })\n`,
  ),
  one(
    'replies come in a transaction of their own',
    OUTBOX,
    `      if (ours && next.type === 'completed') this.#say(id, run, next, stamps)\n`,
    `      if (ours && next.type === 'completed') this.#db.exec('commit; begin')\n      if (ours && next.type === 'completed') this.#say(id, run, next, stamps)\n`,
  ),
  one(
    'claims are not written down for the next start',
    OUTBOX,
    'this.#sql.beginBatch.run(',
    'void (() => 0)(',
  ),
  one(
    'what has ended stays on record as running',
    OUTBOX,
    'for (const batch of over) this.#sql.endBatch.run(batch)',
    '',
  ),
  one(
    'ends that could not be written are forgotten',
    DISPATCHER,
    'joined(gathered, this.#gathered)',
    'joined({ ...gathered, results: [] }, this.#gathered)',
  ),
  one(
    'what a failed commit was to claim stays out',
    DISPATCHER,
    '          entry.waits = false\n          this.#putBack(entry)\n',
    '          entry.waits = false\n',
  ),
  one(
    'a commit that has reported an error is not looked for on disk',
    UNANSWERED,
    'if (!last || !isOnDisk(last)) return undefined',
    'if (last || !last) return undefined',
  ),
  one('claims that are on disk after an error are not taken back', OUTBOX, '      this.#takeBack()\n', ''),
  one(
    'claims that are on disk after an error stay there when nothing else is to be written',
    DISPATCHER,
    'if (this.#doubtful === 0 && parts',
    'if (parts',
  ),
  one(
    'a runtime that was replaced goes on writing',
    OUTBOX,
    'if (epoch !== this.#epoch)',
    'if (epoch === undefined)',
  ),

  // Claims.
  one(
    'a claim that was refused is run all the same',
    DISPATCHER,
    'if (refused.has(message.id)) {',
    'if (refused.has(message.id.repeat(2))) {',
  ),
  one(
    'an end is written without looking whether the claim is still there',
    OUTBOX,
    "addMissing(lost, ids, status === 'released' ?",
    "addMissing(lost, [], status === 'released' ?",
  ),
  one(
    'a run that never began is on record when its claim is gone',
    OUTBOX,
    "if (!claim || (next.type === 'released' && !next.keep)) return",
    "if (!claim || (next.type === 'released' && !next.keep && !lost.has(id))) return",
  ),
  {
    name: 'a start leaves the claims of the one before',
    changes: [
      { file: OUTBOX, from: 'if (!poison) this.#sql.dropClaim.run(id)\n          else', to: 'if (poison)' },
      { file: OUTBOX, from: 'this.#sql.dropForeignClaims.run()', to: '' },
    ],
  },
  one(
    'what the host has paused, cancelled or postponed runs',
    DISPATCHER,
    `if (row?.status === 'pending' && isDue(row, clock.now())) {`,
    'if (row) {',
  ),

  // Retries, attempts, deaths.
  one('a retry is forgotten', QUEUE, `    if (state.type === 'retrying') this.#pause(message, state)\n`, ''),
  one('a retry does not wait', QUEUE, 'Math.max(state.untilMs - clock.now(), 0)', '0'),
  one(
    'a pause is forgotten over a restart',
    ADMISSION,
    'const waitMs = history ? waitOf(history, nowMs) : 0',
    'const waitMs = 0',
  ),
  one(
    'a pause changes when the clock is set',
    'queue/run-result.ts',
    `if (next.type !== 'retry' || `,
    `if (next.type === 'retry' || `,
  ),
  one(
    'one attempt too many',
    BACKOFF,
    'facts.attempt >= facts.policy.attempts',
    'facts.attempt > facts.policy.attempts',
  ),
  one('a RetryAfterError is charged', BACKOFF, "reason: 'retry_after' }", "reason: 'handler_error' }"),
  one('attempts begin anew at each start', ADMISSION, '      attempts,\n', '      attempts: 0,\n'),
  one(
    'what was moved away and back is found twice',
    QUEUE,
    'filter(({ message, state }) => message.state === state)',
    'filter(({ message, state }) => message.state.type === state.type)',
  ),
  one(
    'a release is charged',
    DISPATCHER,
    'if (isCharged(next)) entry',
    `if (isCharged(next) || next.type === 'released') entry`,
  ),
  one('deaths of a process are not counted', DISPATCHER, 'if (died) entry.crashes++', ''),
  one('each death is answered at once', BACKOFF, 'facts.crashes === 0', 'facts.crashes >= 0'),
  one(
    'what takes the runtime with it is never given up',
    OUTBOX,
    'const poison = died && deaths >= crashLimit',
    'const poison = deaths > 1_000',
  ),
  one(
    'who was suspected is not after a restart',
    ADMISSION,
    'isolated: wasIsolated || crashes > 0 || interrupted,',
    'isolated: wasIsolated,',
  ),
  one(
    'a death is blamed on all that were in the process',
    BLAME,
    'const certain = inside.length === 1',
    'const certain = inside.length > 0',
  ),
  one(
    'who must run alone gets company',
    CHILD,
    'if (dispatch.alone) return false',
    'if (dispatch.n < 0) return false',
  ),
  one(
    'a stop that could not write its ends counts as a death',
    OUTBOX,
    'const died = epoch === 0 || epoch !== stoppedEpoch',
    'const died = true',
  ),
  one(
    'a process that has lost its channel is neither used nor ended',
    CHILD,
    'this.#process.onChannelLost(() => this.#lostChannel(), LAST_WORDS_MS)',
    '',
  ),
  one(
    'a lost channel is blamed on a message that had not begun',
    BLAME,
    'if (!certain) return PROCESS_DIED',
    '',
  ),

  // What may run now.
  one('more is busy than may be', SCHEDULER, 'capacity.concurrency - busy,', 'capacity.concurrency,'),
  one(
    'a function has more busy workers than it may have',
    SCHEDULER,
    'busyMax(each, capacity) - busyOf(spec, capacity),',
    'capacity.concurrency,',
  ),
  one(
    'workers are started for what cannot be read',
    DISPATCHER,
    'const mayStart = !this.#isUnread ||',
    'const mayStart = demand.length > 0 ||',
  ),
  one(
    'a function that has no worker is started none',
    SCHEDULER,
    "if (missing > 0) steps.push({ type: 'start', spec, count: missing })",
    '',
  ),

  // Order.
  one('a lane gives out while something of it runs', LANES, 'if (!head || lane.out > 0 ||', 'if (!head ||'),
  one(
    'what comes back to its lane stands at the end',
    LANES,
    'return begun === b.runs > 0 ? a.order < b.order : begun',
    'return begun && b.runs < 0',
  ),
  one(
    'of a page the row that the source gives first gets the room',
    'sources/pages.ts',
    '? rows : [...rows].sort(bySeq)',
    '? rows : rows',
  ),
  one(
    'a lane is open while its message is read again',
    ADMISSION,
    `{ type: 'rereading', last, holdsLane: true }`,
    `{ type: 'rereading', last, holdsLane: false }`,
  ),
  one(
    'what is new is read before what is read again',
    INBOUND,
    "this.#reader.do(read, 'first')",
    'this.#reader.do(read)',
  ),

  // Finding what there is.
  one(
    'a full page skips what is behind it',
    'store/sqlite/page.ts',
    'const last = full ? placeOf(numbered.at(-1)!, reading) : bound',
    'const last = bound',
  ),
  one(
    'of rows that share a number those behind a full page are skipped',
    'store/sqlite/page.ts',
    'const same = pages.sameSeq.all(...values, after.seq, after.seqRowid, limit) as Raw[]',
    'const same: Raw[] = []',
  ),
  one(
    'a checkpoint is believed in another file',
    CHECKPOINT,
    'if (id !== null) return inbound.placeOf(seq, id)',
    '',
  ),
  one(
    'a function that fills the lanes keeps all others waiting',
    INBOUND,
    'else if (this.#router.names.length > 1) this.#readBeyond()',
    '',
  ),
  one(
    'what was passed over is not found again',
    INBOUND,
    '    this.#scanned = cursor\n    if (this.#beyond.upTo && (end',
    '    this.#scanned = this.#beyond.upTo ?? cursor\n    if (this.#beyond.upTo && (end',
  ),
  one(
    'a later message of a key that was passed over is let in',
    'queue/passed-over.ts',
    'return bits !== undefined && places',
    'return bits !== undefined && key.length === 0 && places',
  ),
  one(
    'what a look has read is believed though the host has committed since',
    'store/sqlite/fresh-rows.ts',
    'if (version !== this.#version) this.clear()\n    if (this.#rows.size === 0)',
    'if (this.#rows.size === 0)',
  ),
  one(
    'an unfinished message among finished ones is passed over',
    'sources/pages.ts',
    'const left = unfinished(named, pageRows + 1)',
    'const left = unfinished(named, pageRows + 1).slice(1)',
  ),
  one(
    'the checkpoint does not list the message that it stands on',
    QUEUE,
    'each.seq <= seq',
    'each.seq < seq',
  ),
  one(
    'the checkpoint passes what it has no room to list',
    CHECKPOINT,
    'this.#kept = all ? reached :',
    'this.#kept = unfinished.length >= 0 ? reached :',
  ),
  one(
    'a stop before the first look forgets the checkpoint',
    CHECKPOINT,
    'if (!this.#isRead) return checkpoint\n',
    '\n',
  ),
  one(
    'what the host has changed is not read again',
    INBOUND,
    '      this.#rescan.again()\n      this.#scanning = true',
    '      this.#scanning = true',
  ),
  one(
    'a read that met a lock is not done again',
    'sources/retrying-reader.ts',
    'return this.failed(error)',
    'reads.delete(read)\n          return this.failed(error)',
  ),
  one(
    'what waited is not found again in a new file',
    QUEUE,
    '          this.#messages.delete(message.id)\n',
    '',
  ),
  {
    name: 'half a second early',
    changes: [
      { file: ADMISSION, from: 'if (dueAtMs > nowMs)', to: 'if (dueAtMs > nowMs + 500)' },
      { file: DISPATCHER, from: 'atMs <= nowMs\n', to: 'atMs <= nowMs + 500\n' },
    ],
  },

  // In the moments that the orders of events are about (test/simulation/orders.ts).
  one(
    'what a reload has changed meanwhile goes on as it was',
    DISPATCHER,
    '      } else if (!message.source.isCurrent(entry)) message.source.reread(entry)\n      else if',
    '      } else if',
  ),
  one(
    'what has no function stays where it is after a reload',
    QUEUE,
    "const parked = [...this.#messages.values()].filter(({ state }) => state.type === 'parked')",
    'const parked: Message[] = []',
  ),
  one(
    'a process on its way out cannot be asked to go again',
    CHILD,
    "  draining: ['draining', 'aborting'",
    "  draining: ['aborting'",
  ),
  one(
    'processes of the code before a reload are not counted',
    SCHEDULER,
    `({ name }: FunctionSpec, { workers }: Capacity): number {
  return workers.filter(({ state, functionName }) => state === 'busy' && functionName === name)`,
    `({ bundle: mine }: FunctionSpec, { workers }: Capacity): number {
  return workers.filter(({ state, bundle }) => state === 'busy' && bundle === mine)`,
  ),
  one(
    'what is being claimed is forgotten with its file',
    QUEUE,
    "        case 'claiming':\n        case 'running':",
    "        case 'running':",
  ),
  one(
    'what the host has not recorded is forgotten',
    'store/retention.ts',
    'const ended = old.filter((id) => !kept.has(id))',
    'const ended = old.filter((id) => kept)',
  ),
  one(
    'a row that a page has twice is placed twice',
    ADMISSION,
    "    else if (known && known.state.type !== 'rereading') return\n",
    '',
  ),
  one(
    'the record of a row that a page has twice counts twice',
    ADMISSION,
    'history([...new Set(ids)])',
    'history(ids)',
  ),
  one(
    'a lane is as its rows were read',
    LANES,
    'lane.line.insert(entry, comesBefore)',
    'lane.line.push(entry)',
  ),
  one(
    'a timer that fires too early is not set again',
    'queue/timers.ts',
    '    this.#arm()\n    if (due.length > 0)',
    '    if (due.length > 0)',
  ),
  one(
    'ends that come while a commit fails are forgotten',
    DISPATCHER,
    'joined(gathered, this.#gathered)',
    'joined(gathered, gather())',
  ),
  one(
    'a stop does not wait for the answer of a commit',
    DISPATCHER,
    'unwritten === 0 && !this.#committing)',
    'unwritten === 0)',
  ),
  one(
    'a stop that leaves a claim without an answer does not say so',
    DISPATCHER,
    "this.#committing ? queue.count('claiming') : 0",
    '0',
  ),
  one(
    'an answer that comes with the end of its time does not count',
    CHILD,
    "if (this.#hasTimedOut(n) && result.end !== 'replied')",
    'if (this.#hasTimedOut(n))',
  ),
  one(
    'a process that has ended gets a batch',
    CHILD,
    "    if (!this.#takes) return receiver.ended(batch.map(({ n }) => cancelled(n, 'not-started')))\n",
    '',
  ),

  // Several folders.
  {
    name: 'runs are numbered in each folder by itself',
    changes: [
      { file: DISPATCHER, from: '  #closed = false\n', to: '  #closed = false\n  #runs = 0\n' },
      {
        file: DISPATCHER,
        from: 'return { n: this.#parts.nextRunId(), entry,',
        to: 'return { n: ++this.#runs, entry,',
      },
    ],
  },
  one(
    'all results of a report go to one folder',
    CHILD,
    'const ended = byReceiver.get(out.receiver)\n      if (ended)',
    'const [ended] = byReceiver.values()\n      if (ended)',
  ),
  one(
    'what a failed commit was to use stays reserved',
    DISPATCHER,
    '      this.#release(assignments.map(({ slot }) => slot))\n',
    '',
  ),
  one(
    'with one folder the processes of all are ended',
    POOL,
    'return [...this.#children].filter((child) => child.workspace === workspace)',
    'return [...this.#children]',
  ),
  one(
    'a folder that leaves keeps the processes that are reserved for it',
    DISPATCHER,
    '    this.#retry.stop()\n    this.#release(this.#reserved)\n',
    '    this.#retry.stop()\n',
  ),
  one(
    'the folder that was served last is served first',
    'turns.ts',
    '(a, b) => b.servedAt - a.servedAt',
    '(a, b) => a.servedAt - b.servedAt',
  ),

  // The rest.
  one('replies have even numbers', OUTBOX, 'this.#seq += this.#seq % 2 === 0 ? 1 : 2', 'this.#seq += 2'),
  one(
    'what stands behind a message that is gone gets no turn',
    DISPATCHER,
    'would ask for the turn of the one behind it.\n      this.nudge()\n',
    'would ask for the turn of the one behind it.\n',
  ),
  one('a commit that met a lock is not tried again', 'store/commit-retry.ts', '      again()\n', ''),
  one(
    'context is run alone',
    'catalog/catalog.ts',
    '    if (!wakes.has(doesWake(message))) return false\n',
    '',
  ),
  one(
    'context waits for a function',
    ADMISSION,
    'if (!spec && begunBy === null && router.isContext(row))',
    'if (!spec && row.id === null)',
  ),
  one(
    'a stop does not wait for rejections',
    DISPATCHER,
    'const unwritten = rejected.length +',
    'const unwritten = 0 * rejected.length +',
  ),

  // Lanes that leave memory while their head waits.
  one(
    'a later message of a lane that was set aside is let in',
    ADMISSION,
    'const lane = key === null || back ?',
    'const lane = key === null || back || key.length > 0 ?',
  ),
  one(
    'what stands behind a message that came back is let in before what was passed over',
    SET_ASIDE,
    'if (lane.tailFrom === undefined) this.#forget(lane)',
    'if (lane.tailFrom !== null) this.#forget(lane)',
  ),
  one(
    'a lane that was refilled in part counts as refilled',
    SET_ASIDE,
    "    lane.state = 'back'\n    lane.functionName",
    '    lane.functionName',
  ),
  one(
    'the checkpoint passes what stands behind a message that waits',
    CHECKPOINT,
    'if (tailFrom === undefined || scanned.seq < tailFrom) return scanned',
    'if (tailFrom !== null) return scanned',
  ),
  one('a start does not look for what waits', CHECKPOINT, '      admit(page.map(({ id }) => id))\n', ''),
  ...WAIT_MUTANTS,
]

/** @throws Error: it does not fit the core any more */
export function changed(text: string, { file, from, to }: Change): string {
  const parts = text.split(from)
  if (parts.length === 2) return parts.join(to)
  throw new Error(
    `${file} has ${parts.length - 1} places like ${JSON.stringify(from)}; mend test/mutants/list.ts`,
  )
}
