// The driver as it is installed. Its native module is built, or fetched, when it is installed: without that
// step, or with another version of Node than then, its JavaScript loads and the first database does not open.
import Database from 'better-sqlite3'
import { NanoclawError } from '../../protocol/errors.ts'

const BUILD = 'Build it, in the project: npm rebuild better-sqlite3'
const SCRIPTS_OFF = '(where .npmrc turns scripts off: with --ignore-scripts=false)'

/**
 * @throws NanoclawError `bad_config` when the driver cannot open any database; SqliteError when it cannot
 *   open this one
 */
export function openDatabase(path: string, options: Database.Options = {}): Database.Database {
  try {
    return new Database(path, options)
  } catch (error) {
    const fault = faultOf(error)
    throw fault === undefined ? error : new NanoclawError('bad_config', fault, { cause: error })
  }
}

/** @throws NanoclawError `bad_config` */
export function checkDriver(): void {
  openDatabase(':memory:').close()
}

function faultOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if (error.message.startsWith('Could not locate the bindings file'))
    return `better-sqlite3 is not built: its native module is missing, as after an install without scripts. ${BUILD} ${SCRIPTS_OFF}`
  if (!('code' in error) || error.code !== 'ERR_DLOPEN_FAILED') return undefined
  const here = `Node ${process.version} on ${process.platform}-${process.arch}`
  if (error.message.includes('NODE_MODULE_VERSION'))
    return `better-sqlite3 is built for another version of Node than the one that runs, ${here}. ${BUILD} ${SCRIPTS_OFF}`
  const [why = ''] = error.message.split('\n')
  return `better-sqlite3 is not built for ${here}: ${why}. ${BUILD} ${SCRIPTS_OFF}`
}
