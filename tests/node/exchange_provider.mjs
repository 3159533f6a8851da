// oidc-provider doing what a token exchange takes, for `make bench`: private_key_jwt, then a JWT access token signed with
// ES256. Reads {agent, client, service, issuer, resource, scope} as JSON from its argument (`client` and `service` are
// public JWK sets); says where it listens. The grant is what its documentation shows and a verified subject token: no
// chain, no attenuation, no revocation, no record, no second look at what was signed. It forgets assertions beyond the
// last thousand entries, and everything when it ends.
import { generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto'
import { createServer } from 'node:http'

// Node 18 has both and does not name them globally, as the libraries expect.
globalThis.crypto ??= webcrypto
globalThis.CryptoKey ??= webcrypto.CryptoKey
const { default: Provider, errors } = await import('oidc-provider')
const { createLocalJWKSet, jwtVerify } = await import('jose')

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const terms = JSON.parse(process.argv[2])
const subjectKeys = createLocalJWKSet(terms.service)
const resourceServer = {
  scope: terms.scope,
  audience: terms.resource,
  accessTokenFormat: 'jwt',
  accessTokenTTL: 300,
  jwt: { sign: { alg: 'ES256' } },
}

function makeKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), kid: randomBytes(8).toString('hex'), alg: 'ES256', use: 'sig' }
}

async function exchange(ctx, next) {
  const { client, params, provider } = ctx.oidc
  const { payload } = await jwtVerify(params.subject_token, subjectKeys, {
    issuer: terms.issuer,
    audience: terms.resource,
    algorithms: ['ES256'],
    typ: 'at+jwt',
  }).catch(() => {
    throw new errors.InvalidGrant('subject_token')
  })
  const held = new Set(payload.scope.split(' '))
  if (payload.client_id !== client.clientId || !params.scope.split(' ').every((scope) => held.has(scope))) {
    throw new errors.InvalidGrant('subject_token')
  }
  const token = new provider.AccessToken({
    accountId: payload.sub,
    client,
    scope: params.scope,
    gty: 'token-exchange',
    extra: { act: { sub: params.requested_actor, act: payload.act } },
  })
  token.resourceServer = new provider.ResourceServer(terms.resource, resourceServer)
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: params.subject_token_type,
    token_type: 'Bearer',
    expires_in: token.expiration,
    scope: token.scope,
  }
  await next()
}

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    clients: [{
      client_id: terms.agent,
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: terms.client,
      grant_types: [EXCHANGE, 'client_credentials'],
      response_types: [],
      id_token_signed_response_alg: 'ES256',
      redirect_uris: [],
      scope: terms.scope,
    }],
    jwks: { keys: [makeKey()] },
    scopes: terms.scope.split(' '),
    enabledJWA: { clientAuthSigningAlgValues: ['ES256'] },
    ttl: { AccessToken: 300, ClientCredentials: 300 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: () => resourceServer },
    },
  })
  provider.registerGrantType(
    EXCHANGE, exchange, ['subject_token', 'subject_token_type', 'requested_actor', 'scope', 'resource'], ['resource'])
  provider.on('server_error', (_ctx, error) => console.error(error))
  provider.on('grant.error', (_ctx, error) => console.error(error.message, error.error_detail))
  server.on('request', provider.callback())
  console.log(`listening on ${issuer}`)
})
