// An OpenID provider on a loopback port, for one user and two clients. Prints {"issuer"} when it listens. Each line on
// standard input makes it publish and sign with a new key, and is answered with a line.
import { generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'

// Node 18 has it and does not name it globally.
globalThis.crypto ??= webcrypto
const { default: Provider } = await import('oidc-provider')

const RESOURCE = 'https://tokens.example'
const SCOPES = 'crm.read crm.write crm.export crm.delete'
const USER = { sub: 'alice', tid: 'tenant-1', roles: ['CRM Reader', 'CRM Writer', 'Domain Users'] }

const redirectUris = ['http://127.0.0.1/callback']
const client = (id) => ({
  client_id: id,
  client_secret: `${id}-secret`,
  redirect_uris: redirectUris,
  grant_types: ['authorization_code'],
  id_token_signed_response_alg: 'ES256',
  scope: `openid ${SCOPES}`,
})

function makeKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), kid: randomBytes(8).toString('hex'), alg: 'ES256', use: 'sig' }
}

function makeProvider(issuer) {
  return new Provider(issuer, {
    clients: [client('idp-planner'), client('idp-other')],
    jwks: { keys: [makeKey()] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    scopes: ['openid', ...SCOPES.split(' ')],
    claims: { openid: ['sub', 'tid', 'roles'] },
    conformIdTokenClaims: false,
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ ...USER, sub: id }) }),
    extraTokenClaims: () => ({ tid: USER.tid, roles: USER.roles }),
    ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
    features: {
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: SCOPES,
          audience: RESOURCE,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  })
}

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const serve = () => {
    server.removeAllListeners('request')
    server.on('request', makeProvider(issuer).callback())
  }
  serve()
  console.log(JSON.stringify({ issuer }))
  createInterface({ input: process.stdin }).on('line', () => {
    serve()
    console.log(JSON.stringify({ rotated: true }))
  }).on('close', () => process.exit(0))
})
