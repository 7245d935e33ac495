// Answers chat messages. Shows the three outputs of a function: ctx.log writes to the log, ctx.reply to the
// sender, and the return value is the last reply. It needs no `on`: a function takes the messages whose kind
// is its file's name.
import { defineFunction } from 'nanoclaw-functions'

interface Chat {
  readonly text: string
}

export default defineFunction<Chat>({
  handler({ content }, ctx) {
    const text = content.text.trim()
    ctx.log.debug('a chat message', { characters: text.length })

    if (/^(hi|hello|hey)\b/i.test(text)) return 'Hello! Say “help” to see what I can do.'
    if (/^help\b/i.test(text)) {
      ctx.reply('I can add, subtract, multiply and divide: 6 * 7')
      return 'Everything else I repeat.'
    }
    return calculate(text) ?? `You said: ${text}`
  },
})

function calculate(text: string): string | undefined {
  const match = /^(-?\d+(?:\.\d+)?)\s*([-+*/])\s*(-?\d+(?:\.\d+)?)$/.exec(text)
  if (!match) return undefined
  const [left, right] = [Number(match[1]), Number(match[3])]
  switch (match[2]) {
    case '+':
      return `${text} = ${left + right}`
    case '-':
      return `${text} = ${left - right}`
    case '*':
      return `${text} = ${left * right}`
    default:
      return right === 0 ? 'Nobody can divide by zero.' : `${text} = ${left / right}`
  }
}
