// Cuts the events of a run that fails down to those that matter. Whole stretches go first, since most of a
// run has nothing to do with what went wrong; fast-check then leaves out single events and makes simpler what
// is left. Alone it would come to the same end and ask ten times as often.
import fc from 'fast-check'
import { type Event, type NewMessage, randomEvents } from './events.ts'

type Fails = (events: readonly Event[]) => Promise<boolean>

/**
 * @param fails whether a list still does; asked often. After the deadline, what has been found by then is the
 *   answer.
 */
export async function shrink(
  events: readonly Event[],
  fails: Fails,
  deadlineMs: number,
): Promise<readonly Event[]> {
  const endMs = performance.now() + deadlineMs
  const stillFails: Fails = async (fewer) => performance.now() < endMs && (await fails(fewer))
  const rest = await withoutStretches(events, stillFails)
  const lists = fc.array(new AnyEvent(), { maxLength: rest.length, size: 'max' })
  const holds = fc.asyncProperty(lists, async (fewer) => !(await stillFails(fewer)))
  const { counterexample } = await fc.check(holds, { examples: [[[...rest]]], numRuns: 1 })
  return counterexample?.[0] ?? rest
}

async function withoutStretches(events: readonly Event[], fails: Fails): Promise<readonly Event[]> {
  let rest = events
  for (let size = Math.ceil(events.length / 2); size >= 1; size = Math.floor(size / 2))
    for (let at = 0; at < rest.length; ) {
      const fewer = [...rest.slice(0, at), ...rest.slice(at + size)]
      if (await fails(fewer)) rest = fewer
      else at += size
    }
  return rest
}

class AnyEvent extends fc.Arbitrary<Event> {
  override generate(random: fc.Random): fc.Value<Event> {
    return new fc.Value(randomEvents(random.nextInt(), 1)[0]!, undefined)
  }

  override canShrinkWithoutContext(value: unknown): value is Event {
    return value !== undefined
  }

  override shrink(event: Event): fc.Stream<fc.Value<Event>> {
    return fc.Stream.of(...simpler(event)).map((value) => new fc.Value(value, undefined))
  }
}

/** The same event with one thing in it simpler. */
function simpler(event: Event): Event[] {
  const messages = event.do === 'insert' ? event.messages : []
  const fewer = messages.length < 2 ? [] : messages.map((each) => messages.filter((other) => other !== each))
  const plainer = messages.flatMap((each, at) => plain(each).map((other) => messages.with(at, other)))
  const numbers = Object.entries(event).flatMap(([name, value]) =>
    typeof value === 'number' ? lower(value).map((less) => ({ ...event, [name]: less })) : [],
  )
  return [
    ...[...fewer, ...plainer].map((messages) => ({ ...event, messages })),
    ...('hint' in event && event.hint !== 'now' ? [{ ...event, hint: 'now' }] : []),
    ...numbers,
  ] as Event[]
}

function lower(value: number): number[] {
  return [0, Math.floor(value / 2), value - 1].filter((less) => less >= 0 && less < value)
}

function plain(message: NewMessage): NewMessage[] {
  const all = [{ kind: 'quick' }, { address: 0 }, { due: 'now' }, { odd: 'no' }] as const
  return all
    .filter((part) =>
      Object.entries(part).some(([name, value]) => message[name as keyof NewMessage] !== value),
    )
    .map((part) => ({ ...message, ...part }))
}
