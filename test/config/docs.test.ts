// docs/config.md shows the one table of settings, made from the code: UPDATE_DOCS=1 rewrites it.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { renderSettings } from '../../runtime/config/docs.ts'
import { SETTING_NAMES, SETTINGS } from '../../runtime/config/options.ts'

const FILE = fileURLToPath(new URL('../../docs/config.md', import.meta.url))
const [BEGIN, END] = ['<!-- settings -->', '<!-- /settings -->']

test('docs/config.md has the table of settings', () => {
  const shown = readFileSync(FILE, 'utf8')
  const [before, rest] = shown.split(BEGIN)
  const after = rest?.split(END)[1]
  const made = `${before}${BEGIN}\n\n${renderSettings()}\n\n${END}${after}`
  if (process.env.UPDATE_DOCS !== undefined) writeFileSync(FILE, made)
  else expect(shown, 'run UPDATE_DOCS=1 npx vitest run test/config/docs.test.ts').toBe(made)
})

test('docs/config.md names the flag that turns off each setting that is true or false', () => {
  const text = readFileSync(FILE, 'utf8')
  const truths = SETTING_NAMES.filter((name) => SETTINGS[name].kind.placeholder === null)
  expect(truths).toContain('watch')
  for (const name of truths) expect(text).toContain(`\`--no-${name}\``)
})
