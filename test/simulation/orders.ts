// Hostile orders of events: what hosts, disks, processes and people do in the few moments in which it
// matters. Each names the mutant of test/mutants/list.ts that makes it fail; `npm run mutants` checks that it
// does.
import {
  BOB,
  insert,
  LATE,
  MEMORY,
  many,
  message,
  NONE,
  narrow,
  ONE,
  type Order,
  pass,
  TWO,
  until,
  up,
} from './order.ts'
import { WAIT_ORDERS } from './wait-orders.ts'

/** How many numbers each is run with. */
export const ORDER_SEEDS = 4

export const ORDERS: readonly Order[] = [
  ...WAIT_ORDERS,

  // The functions change.
  {
    title: 'the functions change while a claim is being written',
    mutant: 'what a reload has changed meanwhile goes on as it was',
    choices: LATE,
    runs: [[up, insert([message(1)]), until('claims-asked'), { do: 'reload', version: 2 }, pass(500)]],
  },
  {
    title: 'a function goes while a message of it is being claimed, and comes back',
    mutant: 'what has no function stays where it is after a reload',
    choices: MEMORY,
    runs: [
      [
        { do: 'reload', version: 1 },
        up,
        insert([message(1, [{}], { kind: 'late' })]),
        until('claims-asked'),
        { do: 'reload', version: 2 },
        pass(300),
        { do: 'reload', version: 1 },
        pass(300),
      ],
    ],
  },
  {
    title: 'the functions change again before the processes of the first change have gone',
    mutant: 'a process on its way out cannot be asked to go again',
    choices: ONE,
    runs: [
      [
        up,
        insert([message(1, [{ ms: 250 }], { kind: 'slow' })]),
        until('running'),
        pass(20),
        { do: 'reload', version: 2 },
        insert([message(2, [{ ms: 30 }], { kind: 'slow', address: BOB })]),
        { do: 'reload', version: 3 },
        pass(600),
      ],
    ],
  },
  {
    title: 'a function may have fewer processes at work while more of the old code still are',
    mutant: 'processes of the code before a reload are not counted',
    choices: ONE,
    runs: [
      [up, insert(many(3, 1, { ms: 280 })), pass(150), narrow, insert(many(3, 11, { ms: 50 })), pass(1_000)],
    ],
  },

  // The host.
  {
    title: 'the host moves a message to a later time while it is being claimed, and its run fails',
    mutant: 'what the host has paused, cancelled or postponed runs',
    choices: LATE,
    runs: [
      [
        up,
        // To 1.5 s from then (timeOf in messages.ts).
        insert([message(9, [{ end: 'throws' }, {}])]),
        until('claims-asked'),
        { do: 'later', pick: 0, hint: 'lost' },
        pass(2_000),
      ],
    ],
  },
  {
    title: 'the host deletes a message while it is being claimed, runs, or is being written down as failed',
    mutant: 'what stands behind a message that is gone gets no turn',
    choices: MEMORY,
    runs: (['claims-asked', 'running', 'ends-asked'] as const).map((situation) => [
      up,
      insert([message(1, [{ end: 'throws', ms: 20 }]), message(2)]),
      until(situation),
      { do: 'delete', pick: 0, hint: 'lost' },
      pass(500),
    ]),
  },
  {
    title: 'the host takes a message back that was read and waits for a process',
    mutant: 'what stands behind a message that is gone gets no turn',
    // It is looked at again long before the process is there.
    choices: { ...ONE, pollMs: 5 },
    runs: [
      [insert([message(1), message(2)]), until('ready'), { do: 'delete', pick: 0, hint: 'now' }, pass(500)],
    ],
  },
  {
    title: 'the host takes a claim away while the end of its run is being written',
    mutant: 'an end is written without looking whether the claim is still there',
    choices: LATE,
    runs: [
      [
        up,
        insert([message(1), message(2)]),
        until('ends-asked'),
        { do: 'unclaim', pick: 0, all: true, backOff: false },
        pass(500),
      ],
    ],
  },
  {
    title: 'another inbound.db is put in place while a message of the old one is being claimed',
    mutant: 'what is being claimed is forgotten with its file',
    choices: LATE,
    runs: [
      [
        up,
        insert([message(1), message(2)]),
        until('claims-asked'),
        { do: 'slow-commit', writeMs: 300, answerMs: 300 },
        { do: 'swap', messages: [message(3)], goneMs: 50 },
        pass(500),
      ],
      [
        up,
        { do: 'slow-commit', writeMs: 300, answerMs: 300 },
        insert([message(1), message(2)]),
        until('claims-asked'),
        { do: 'swap', messages: [message(3)], goneMs: 50 },
        pass(500),
        { do: 'hint' },
        pass(500),
      ],
    ],
  },

  {
    title: 'a message is inserted again while its record is being forgotten; another one is not recorded yet',
    mutant: 'what the host has not recorded is forgotten',
    choices: { ...ONE, retentionMs: 1_000 },
    runs: [true, false].map((isRecorded) => [
      insert([message(1, [{ replies: 0 }]), message(2)]),
      pass(1_000),
      ...(isRecorded ? [{ do: 'sync', prune: false, hint: 'lost' } as const] : []),
      insert([message(3)]),
      // The first look of the retention is 5 s after the start.
      pass(3_990),
      { do: 'busy-commits', times: 3 },
      pass(20),
      ...(isRecorded ? [{ do: 'again', pick: 0, hint: 'now' } as const] : []),
      pass(12_000),
    ]),
  },

  // The source.
  {
    title: 'a page of the source has a row twice',
    mutant: 'a row that a page has twice is placed twice',
    choices: ONE,
    runs: [[up, { do: 'odd-pages', how: 'repeats', times: 3 }, insert([message(1), message(2)]), pass(500)]],
  },
  {
    title: 'a page of the source has a row twice that has failed before',
    mutant: 'the record of a row that a page has twice counts twice',
    choices: ONE,
    runs: [
      [
        up,
        insert([message(1, [{ end: 'throws' }, {}], { kind: 'slow' })]),
        until('retrying'),
        { do: 'odd-pages', how: 'repeats', times: 9 },
        { do: 'unreadable', how: 'gone', ms: 20 },
        pass(5_000),
      ],
    ],
  },
  {
    title: 'a page of the source gives its rows in the wrong order',
    mutant: 'a lane is as its rows were read',
    choices: ONE,
    runs: [
      [
        up,
        { do: 'odd-pages', how: 'turns-round', times: 1 },
        insert([message(1), message(2), message(3)]),
        pass(500),
      ],
    ],
  },

  // The clock.
  {
    title: 'the clock is set back when a message is nearly due',
    mutant: 'a timer that fires too early is not set again',
    choices: ONE,
    runs: [
      [
        up,
        // Due in 300 ms (timeOf in messages.ts).
        insert([message(15, [{}], { due: 'soon' })]),
        until('scheduled'),
        pass(200),
        { do: 'jump', ms: -5_000 },
        pass(4_000),
        pass(2_000),
      ],
    ],
  },

  // The store.
  {
    title: 'the disk fails while a claim is being written',
    mutant: 'what a failed commit was to claim stays out',
    choices: LATE,
    runs: [
      [up, insert([message(1)]), until('claims-asked'), { do: 'failing-commits', times: 1 }, pass(2_000)],
    ],
  },
  {
    title: 'a claim and an end are written, and the disk reports an error',
    mutant: 'a commit that has reported an error is not looked for on disk',
    choices: ONE,
    runs: [
      [
        up,
        insert([message(1, [{ end: 'throws', ms: 20 }, {}]), message(2, [{ ms: 20 }], { address: BOB })]),
        until('running'),
        { do: 'unanswered-commits', times: 3 },
        insert([message(3, [{}], { address: NONE })]),
        pass(3_000),
      ],
    ],
  },
  {
    title: 'the host pauses a message whose claim is written with an error',
    mutant: 'claims that are on disk after an error stay there when nothing else is to be written',
    choices: ONE,
    runs: [
      [
        up,
        { do: 'unanswered-commits', times: 1 },
        insert([message(1)]),
        pass(60),
        { do: 'pause', pick: 0, hint: 'lost' },
        pass(500),
        { do: 'quiet' },
      ],
    ],
  },
  {
    title: 'a message gets another process after its claim was written with an error',
    mutant: 'claims that are on disk after an error are not taken back',
    choices: ONE,
    runs: [[up, { do: 'unanswered-commits', times: 2 }, insert([message(1), message(2)]), pass(1_000)]],
  },
  {
    title: 'a run ends while the commit of another end fails',
    mutant: 'ends that come while a commit fails are forgotten',
    choices: LATE,
    runs: [
      [
        up,
        insert(many(3, 1, { ms: 20 })),
        until('idle'),
        pass(100),
        insert([message(11, [{ ms: 15 }]), message(12, [{ ms: 60 }], { address: BOB })]),
        until('running'),
        { do: 'slow-commit', writeMs: 150, answerMs: 0 },
        until('ends-asked'),
        { do: 'busy-commits', times: 1 },
        pass(600),
      ],
    ],
  },
  {
    title: 'another runtime takes the folder over while a claim is being written',
    mutant: 'a runtime that was replaced goes on writing',
    choices: LATE,
    runs: [[up, insert([message(1)]), until('claims-asked'), { do: 'take-over' }, pass(500)]],
  },
  {
    title: 'a stop begins when a message has been rejected, and that is not on disk',
    mutant: 'a stop does not wait for the answer of a commit',
    choices: LATE,
    runs: [
      [
        up,
        { do: 'busy-commits', times: 2 },
        insert([message(1, [{}], { odd: 'too-large' })]),
        pass(120),
        { do: 'stop', downMs: 10 },
        pass(1_000),
      ],
    ],
  },
  {
    title: 'a stop ends before it is known that a claim is on disk',
    mutant: 'a stop that leaves a claim without an answer does not say so',
    choices: MEMORY,
    runs: [
      [
        up,
        { do: 'slow-commit', writeMs: 1, answerMs: 4_000 },
        insert([message(1)]),
        until('claims-written'),
        { do: 'stop', downMs: 10 },
        pass(5_000),
      ],
    ],
  },

  // Processes.
  {
    title: 'an answer arrives when the time of its message is up',
    mutant: 'an answer that comes with the end of its time does not count',
    choices: ONE,
    runs: [
      [
        up,
        narrow,
        insert(many(3, 1, {})),
        until('idle'),
        pass(100),
        insert([message(5, [{ ms: 300, blocks: true }]), message(6)]),
        pass(1_000),
      ],
    ],
  },
  {
    title: 'the process that a claim was made for ends while the claim is being written',
    mutant: 'a process that has ended gets a batch',
    choices: LATE,
    runs: [
      [
        up,
        narrow,
        pass(100),
        { do: 'slow-commit', writeMs: 1, answerMs: 1 },
        insert([message(1, [{ cuts: 'afterwards' }], { address: NONE })]),
        until('running'),
        { do: 'slow-commit', writeMs: 400, answerMs: 1 },
        insert([message(2, [{ ms: 10 }], { address: NONE })]),
        pass(1_500),
      ],
    ],
  },
  {
    title: 'the channel of a process is lost by a message that it has answered, when another one runs in it',
    mutant: 'a lost channel is blamed on a message that had not begun',
    choices: ONE,
    runs: [
      [
        up,
        narrow,
        insert([
          message(1, [{ cuts: 'afterwards' }], { address: NONE }),
          message(2, [{ ms: 280 }], { address: NONE }),
        ]),
        pass(1_500),
      ],
    ],
  },
  {
    title: 'a handler takes the runtime with it each time',
    mutant: 'what takes the runtime with it is never given up',
    choices: ONE,
    runs: [[up, insert([message(1, [{ takesDown: true, ms: 30 }]), message(2)]), pass(60_000)]],
  },

  // Two folders and one pool.
  {
    title: 'both folders have messages of the same ids',
    mutant: 'runs are numbered in each folder by itself',
    choices: TWO,
    runs: [[up, insert(many(3, 1, { ms: 30 })), insert(many(3, 1, { ms: 30 }), 1), pass(500)]],
  },
  {
    title: 'one process answers for messages of both folders at once',
    mutant: 'all results of a report go to one folder',
    choices: TWO,
    runs: [
      [
        up,
        narrow,
        insert(many(3, 1, {})),
        until('idle'),
        insert(many(3, 1, {}), 1),
        until('idle', 1),
        pass(100),
        insert([message(11, [{ ms: 40, blocks: true }])]),
        until('running'),
        pass(5),
        insert([message(12)], 1),
        pass(500),
      ],
    ],
  },
  {
    title: 'the disk of one folder takes no commits, while the other one has work for the same function',
    mutant: 'what a failed commit was to use stays reserved',
    choices: TWO,
    runs: [
      [
        up,
        narrow,
        { do: 'failing-commits', times: 9 },
        insert([message(1)]),
        pass(200),
        insert([message(1), message(2)], 1),
        { do: 'quiet', at: 1, other: 'failing' },
      ],
    ],
  },
  {
    title: 'one folder is taken over while both have a handler at work',
    mutant: 'with one folder the processes of all are ended',
    choices: TWO,
    runs: [
      [
        up,
        insert([message(1, [{ ms: 20 }], { kind: 'slow' }), message(2, [{ ms: 100 }])]),
        insert([message(3, [{ ms: 280 }], { kind: 'slow' })], 1),
        until('running', 1),
        until('running'),
        { do: 'take-over', at: 0 },
        pass(1_000),
      ],
    ],
  },
  {
    title: 'a folder leaves while its claim is not answered, and the other one needs the process',
    mutant: 'a folder that leaves keeps the processes that are reserved for it',
    choices: { stores: ['late', 'sqlite'], small: false },
    runs: [
      [
        up,
        narrow,
        { do: 'slow-commit', writeMs: 6_000, answerMs: 1 },
        insert([message(1)]),
        until('claims-asked'),
        { do: 'leave', downMs: 10_000 },
        pass(3_000),
        insert([message(2)], 1),
        pass(2_000),
      ],
    ],
  },
  {
    title: 'one folder has a long backlog when the other one gets a few messages',
    mutant: 'the folder that was served last is served first',
    choices: TWO,
    runs: [[up, insert(many(80, 1, { ms: 6 })), pass(60), insert(many(6, 1, { ms: 6 }), 1), pass(3_000)]],
  },
  {
    title: 'the runtime is killed between claim and start, once in each folder',
    mutant: 'who was suspected is not after a restart',
    choices: TWO,
    runs: [
      [
        up,
        { do: 'crash', afterEffects: 0, downMs: 10, before: 'a dispatch', at: 0 },
        insert([message(1), message(2)]),
        pass(300),
        { do: 'crash', afterEffects: 0, downMs: 10, before: 'a dispatch', at: 1 },
        insert([message(1), message(2)], 1),
        pass(2_000),
      ],
    ],
  },
]
