// What the package's "./store" promises to people who build their own loop.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Inbox, Outbox, START } from '../../runtime/store/index.ts'
import { headInbound, insertMessage, openDb, tempDir } from '../support/files.ts'

it('a loop of one’s own is ten lines: look, claim, work, complete or fail', () => {
  const dir = tempDir()
  const host = headInbound(join(dir, 'inbound.db'))
  const [good, bad] = [
    insertMessage(host, { content: { text: 'good' } }).id,
    insertMessage(host, { content: { text: 'bad' } }).id,
  ]

  const inbox = new Inbox(join(dir, 'inbound.db'))
  const outbox = new Outbox(join(dir, 'outbound.db'), 'delete')
  outbox.recover(Date.now(), 5)
  const { rows } = inbox.getPendingMessages(START, 100, false)
  const claimed = outbox.markProcessing(
    rows.flatMap(({ id }) => id ?? []),
    Date.now(),
  )
  for (const id of claimed) {
    const { text } = JSON.parse(inbox.getMessageIn(id)!.content)
    const reply = {
      kind: 'chat',
      platformId: null,
      channelType: null,
      threadId: null,
      deliverAfterMs: null,
      content: JSON.stringify({ text }),
    }
    if (text === 'good') outbox.markCompleted(id, [reply], Date.now(), inbox.maxSeq())
    else outbox.markFailed(id, 'not_good', Date.now())
  }

  expect(claimed).toEqual([good, bad])
  expect(outbox.markProcessing([good, bad], Date.now())).toEqual([])
  expect(outbox.markCompleted(good, [], Date.now())).toBe(false)
  const view = openDb(join(dir, 'outbound.db'), { readonly: true })
  expect(view.prepare('select message_id, status from processing_ack order by rowid').raw().all()).toEqual([
    [good, 'completed'],
    [bad, 'failed'],
  ])
  expect(view.prepare('select id, seq, in_reply_to from messages_out').raw().all()).toEqual([
    [`${good}:0`, 5, good],
  ])
  inbox.close()
  outbox.close()
})
