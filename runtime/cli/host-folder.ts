// The folder in which this process may play the host.
import { dirname } from 'node:path'
import { PATH_VARIABLES } from '../config/names.ts'
import { NanoclawError } from '../protocol/errors.ts'
import type { Paths } from '../protocol/files.ts'
import { filesIn } from '../protocol/files.ts'

/**
 * A host makes both files side by side under their own names; where variables put them elsewhere, somebody else is the host.
 * @throws NanoclawError `bad_usage`
 */
export function hostFolder(workspace: string, paths: Paths): string {
  const folder = dirname(paths.inbound)
  const usual = filesIn(folder)
  if (paths.inbound === usual.inbound && paths.outbound === usual.outbound) return folder
  throw new NanoclawError(
    'bad_usage',
    `${PATH_VARIABLES.inbound} and ${PATH_VARIABLES.outbound} place the two files apart from ${workspace}: another host owns them. ` +
      'Send through that host, or unset the variables.',
  )
}
