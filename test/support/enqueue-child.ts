// A second host in a process of its own: enqueues COUNT messages one by one into DIR, ids starting with NAME.
import { openHost } from '../../runtime/host/index.ts'

const [dir, name, count] = process.argv.slice(2) as [string, string, string]
const host = openHost(dir)
for (let n = 0; n < Number(count); n++) host.enqueue({ id: `${name}-${n}`, kind: 'chat', content: name })
host.close()
