// What a function sees of the environment: the basics, and what the config names. Secrets of the runtime's own environment
// stay here.

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
