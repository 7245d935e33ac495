// What must follow from how a run ended, said a second time and in other words than schedule/backoff says it.
import type { Outcome } from '../../runtime/protocol/outcome.ts'
import type { Ending } from '../../runtime/protocol/turn.ts'
import { attemptsMax } from './cast.ts'
import type { Told } from './messages.ts'

export function isDeath({ type }: Outcome): boolean {
  return type === 'exited' || type === 'killed' || type === 'out-of-memory'
}

/** What is wrong with an ending; `told` has been charged for the run already. */
export function judge(told: Told, outcome: Outcome, ending: Ending, crashLimit: number): string | undefined {
  const { verdict, reason } = ending
  const said = `${outcome.type} ended as ${verdict.type} (${reason}) after ${told.charged} attempts`
  if (ending.outcome !== outcome.type) return `${said}, on record as ${ending.outcome}`
  switch (outcome.type) {
    case 'replied':
      return verdict.type === 'completed' && same(verdict.replies, outcome.replies) ? undefined : said
    case 'bad-reply':
    case 'bad-message':
      return verdict.type === 'failed' && reason === outcome.reason ? undefined : said
    case 'cancelled':
      return verdict.type === 'released' && verdict.keep === (outcome.why === 'shutdown') ? undefined : said
    case 'threw':
      if (outcome.retry.wish === 'never') return verdict.type === 'failed' ? undefined : said
      return ofAttempts(told, verdict) ? undefined : said
    case 'timed-out':
      return ofAttempts(told, verdict) ? undefined : said
    case 'exited':
    case 'killed':
    case 'out-of-memory': {
      const limit = told.deaths >= crashLimit
      if (limit !== (reason === 'crash_limit')) return `${said}, and ${told.deaths} deaths`
      return limit
        ? verdict.type === 'failed'
          ? undefined
          : said
        : ofAttempts(told, verdict)
          ? undefined
          : said
    }
    default:
      return outcome satisfies never
  }
}

function ofAttempts({ charged, kind }: Told, { type }: Ending['verdict']): boolean {
  return type === (charged >= attemptsMax(kind) ? 'failed' : 'retry')
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
