// The environment of a function: basic variables, and those that the config names. Other variables of the
// runtime, such as secrets, are not passed on.

const BASIC = [
  'PATH',
  'HOME',
  'USER',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'NODE_ENV',
  'NODE_EXTRA_CA_CERTS',
  'NO_COLOR',
  'FORCE_COLOR',
]

export function childEnv(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    [...BASIC, ...names].flatMap((name) =>
      process.env[name] === undefined ? [] : [[name, process.env[name]]],
    ),
  )
}
