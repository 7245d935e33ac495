// The hook for a OneCLI gateway, against a stand-in with its two responses.
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type OneCliOptions, oneCli } from 'nanoclaw-functions/supervisor'
import { expect, onTestFinished, test } from 'vitest'
import { tempDir } from '../support/files.ts'

const CONFIG = {
  env: {
    HTTPS_PROXY: 'http://x:token@host.docker.internal:10255',
    NODE_EXTRA_CA_CERTS: '/tmp/onecli-gateway-ca.pem',
  },
  caCertificate: '-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n',
  caCertificateContainerPath: '/tmp/onecli-gateway-ca.pem',
}

interface Gateway {
  readonly url: string
  readonly calls: unknown[]
  readonly agents: Set<string>
}

/**
 * A gateway as its own server behaves: 201 for a new agent, 409 for a known one, 404 for the config of an
 * unknown one.
 */
async function gateway(
  change: (request: IncomingMessage, response: ServerResponse) => boolean = () => false,
) {
  const calls: unknown[] = []
  const agents = new Set<string>()
  const server = createServer(async (request, response) => {
    const { method, headers } = request
    const url = new URL(request.url!, 'http://gateway')
    let body = ''
    for await (const part of request) body += part
    calls.push([
      method,
      url.pathname + url.search,
      headers.authorization,
      ...(body ? [JSON.parse(body)] : []),
    ])
    if (change(request, response)) return
    const answer = (status: number, value: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    if (method === 'POST') {
      const { identifier } = JSON.parse(body)
      if (agents.has(identifier)) return answer(409, { error: 'exists' })
      agents.add(identifier)
      return answer(201, { id: '1', identifier })
    }
    return agents.has(url.searchParams.get('agent')!)
      ? answer(200, CONFIG)
      : answer(404, { error: 'unknown' })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    agents,
  } satisfies Gateway
}

const prepare = (options: Partial<OneCliOptions> & { url: string }, folder = '/srv/sessions/S 1') =>
  oneCli({ certificates: join(tempDir(), 'ca'), ...options })(folder, new AbortController().signal)

test('a folder becomes an agent once, and a container gets the proxy, the certificate and the address of the host', async () => {
  const { url, calls, agents } = await gateway()

  const { env, mounts, hosts } = await prepare({ url: `${url}/`, apiKey: 'oc_key' })
  await prepare({ url, apiKey: 'oc_key' })

  const [identifier] = agents
  expect(identifier).toMatch(/^[a-z][a-z0-9-]*$/)
  expect(agents.size).toBe(1)
  expect(calls.slice(0, 2)).toEqual([
    ['POST', '/api/agents', 'Bearer oc_key', { name: 'S 1', identifier }],
    ['GET', `/api/container-config?agent=${identifier}`, 'Bearer oc_key'],
  ])
  expect(env).toEqual(CONFIG.env)
  expect(mounts).toEqual([
    { source: expect.stringMatching(/\.pem$/), target: '/tmp/onecli-gateway-ca.pem', readonly: true },
  ])
  expect(readFileSync(mounts![0]!.source, 'utf8')).toBe(CONFIG.caCertificate)
  expect(hosts).toEqual(process.platform === 'linux' ? ['host.docker.internal:host-gateway'] : [])
})

test('a local runtime gets the same with paths and addresses of this machine', async () => {
  const { url } = await gateway()

  const { env, mounts } = await prepare({
    url,
    runtime: 'local',
    agent: () => ({ name: 'n', identifier: 'i' }),
  })

  expect(env!.HTTPS_PROXY).toBe('http://x:token@127.0.0.1:10255')
  expect(readFileSync(env!.NODE_EXTRA_CA_CERTS!, 'utf8')).toBe(CONFIG.caCertificate)
  expect(mounts).toBeUndefined()
})

const says = (status: number, text: string) => (request: IncomingMessage, response: ServerResponse) => {
  if (request.method === 'POST') return false
  response.writeHead(status).end(text)
  return true
}

test.each([
  [
    'refuses the agent',
    /POST \/api\/agents answered 401: \{"error":"Unauthorized"\}/,
    (_: IncomingMessage, response: ServerResponse) => {
      response.writeHead(401).end('{"error":"Unauthorized"}')
      return true
    },
  ],
  [
    'has no certificate yet',
    /GET \/api\/container-config\?agent=.* answered 503: start the gateway/,
    says(503, 'start the gateway'),
  ],
  ['answers with a page', /returned an unexpected body/, says(200, '<html>')],
  [
    'names a variable that is none',
    /returned an unexpected body/,
    says(200, JSON.stringify({ ...CONFIG, env: { 'A=B': 'c' } })),
  ],
  ['does not answer in time', /does not answer: .*(timeout|aborted)/i, () => true, 200],
])('no start with a gateway that %s', async (_, error, change, timeoutMs = 60_000) => {
  const { url } = await gateway(change)
  await expect(prepare({ url, timeoutMs })).rejects.toThrow(error)
})

test('no start without a gateway', async () => {
  await expect(prepare({ url: 'http://127.0.0.1:9' })).rejects.toThrow(
    /OneCLI at http:\/\/127.0.0.1:9 does not answer: .+ Is the gateway running\?/,
  )
})
