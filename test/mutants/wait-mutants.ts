// Faults in what the core does with steps, waits and answers: see list.ts.
import { type Mutant, one } from './mutant.ts'

const ADMISSION = 'sources/admission.ts'
const DISPATCHER = 'dispatcher.ts'
const OUTBOX = 'store/sqlite/outbox.ts'
const INBOUND = 'sources/inbound.ts'
const JOURNAL = 'store/sqlite/journal.ts'
const WAKING = 'sources/waking.ts'
const ANSWERS = 'sources/answers.ts'

export const WAIT_MUTANTS: readonly Mutant[] = [
  // Steps and waits.
  one(
    'a step counts as kept before it is on disk',
    DISPATCHER,
    '      kept,\n    })\n',
    '      kept,\n    })\n    kept()\n',
  ),
  one(
    'a run is not given what is on record',
    DISPATCHER,
    'journals.get(run.entry.message.id)',
    "journals.get('')",
  ),
  one(
    'a run that waits costs an attempt',
    'store/sqlite/outbox-sql.ts',
    "('interrupted', 'cancelled', 'suspended')",
    "('interrupted', 'cancelled')",
  ),
  one('a sleep ends early', JOURNAL, 'nowMs + until.forMs', 'nowMs + until.forMs / 2'),
  one(
    'the time of a wait that is over is not written down',
    JOURNAL,
    'this.#sql.endWaits.run({ ids: woken, nowMs })',
    '',
  ),
  one('what is claimed goes on waiting', JOURNAL, 'if (again.length > 0) this.#wake(again, nowMs)', ''),
  one('a start does not look when waits end', WAKING, '  #isDue = true\n', '  #isDue = false\n'),
  one(
    'a timer of a wait that fires too early is not set again',
    WAKING,
    'if (clock.now() < this.#nextAtMs) return this.#arm(this.#nextAtMs)',
    'if (clock.now() < this.#nextAtMs) return',
  ),
  one(
    'what the host has ended goes on waiting',
    DISPATCHER,
    "      if (entry.runs > 0 && row?.status !== 'paused') this.#gathered.withdrawn.push(message.id)\n",
    '',
  ),
  one(
    'what is rejected goes on waiting',
    OUTBOX,
    '      if (over.length > 0) this.#journal.close(over)\n',
    '',
  ),
  one(
    'what is given up keeps its questions open',
    OUTBOX,
    '        if (quarantined.length > 0) this.#journal.close(quarantined)\n',
    '',
  ),

  // What keeps its lane waiting.
  one(
    'what keeps its lane waiting lets it go when the functions change',
    ADMISSION,
    'if (held && !spec.holdsWhileWaiting)',
    'if (held && (last || !spec.holdsWhileWaiting))',
  ),
  one(
    'a start lets what stands behind a message that waits run before it',
    INBOUND,
    '    this.#waking.hold()\n',
    '',
  ),
  {
    name: 'a start wakes what keeps its lane waiting',
    changes: [
      {
        file: INBOUND,
        from: 'bring: (ids) => admission.bring(ids),',
        to: 'bring: (ids) => (admission.bring(ids), admission.wake(ids)),',
      },
      { file: ADMISSION, from: ' && !isHeld(records.get(id), clock.now()))', to: ')' },
    ],
  },

  // Answers.
  one(
    'an answer is acked and not written',
    OUTBOX,
    'const woken = this.#journal.answer(answer, nowMs)',
    'const woken = this.#journal.answer({ ...answer, value: null }, nowMs)',
  ),
  one(
    'an answer is written and not acked',
    OUTBOX,
    "if (this.#sql.reject.run(id, 'completed', iso).changes === 0) continue",
    "if (id === '') continue",
  ),
  one(
    'the answer is lost with the runtime that has written it',
    JOURNAL,
    '    if (messageId !== undefined) this.#sql.makeReady.run(messageId)\n',
    '',
  ),
  one(
    'an answer in the commit of a wait does not wake',
    OUTBOX,
    `      const waiting = this.#suspend(batch, fresh, held, lost, stamps)\n`,
    `      this.#answer(batch.answers, stamps)
      const waiting = this.#suspend(batch, fresh, held, lost, stamps)\n`,
  ),
  one(
    'an answer wakes its message again whenever that waits',
    JOURNAL,
    ':ready, :holds\n',
    'max(:ready, coalesce(max(by_message is not null and at >= :nowMs), 0)), :holds\n',
  ),
  one(
    'an answer that comes too late counts',
    JOURNAL,
    "where question_id = :questionId and state = 'open' returning",
    "where question_id = :questionId and state <> 'done' returning",
  ),
  one(
    'a chat message for a question that is answered already is swallowed',
    OUTBOX,
    "if (otherwise === 'unused' && !this",
    "if (id === '' && !this",
  ),
  one(
    'two messages are taken for the answer to one question',
    ANSWERS,
    '(this.#taken.get(each.questionId) ?? id) === id,',
    "each.questionId !== '',",
  ),
  one(
    'what is due later is taken for an answer',
    ANSWERS,
    '      const value = this.#answer(said.value, said.userId)\n      return {',
    `      const value = this.#answer(said.value, said.userId)
      this.#taken.set(question.questionId, id)
      return {`,
  ),
]
