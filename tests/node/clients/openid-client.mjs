// openid-client 6: finds the service by its metadata, with a secret or a key.
import * as client from 'openid-client'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

/** `auth` as registered; `key` is a CryptoKey, `kid` its id in the agent's `jwks_file`. */
export function authentication({ auth, secret, key, kid }) {
  if (auth === 'private_key_jwt') return client.PrivateKeyJwt({ key, kid })
  return auth === 'client_secret_basic' ? client.ClientSecretBasic(secret) : client.ClientSecretPost(secret)
}

/** `keys`, a CryptoKeyPair with an extractable public key, is what the agent holds; without, tokens are Bearer. */
export async function connect(issuer, clientId, authentication, keys) {
  // Only for http on a loopback address; with https leave `execute` out.
  const execute = issuer.startsWith('http://127.0.0.1') ? [client.allowInsecureRequests] : []
  const options = { algorithm: 'oauth2', execute }
  const config = await client.discovery(new URL(issuer), clientId, undefined, authentication, options)
  const proving = keys ? { DPoP: client.getDPoPHandle(config, keys) } : undefined
  return {
    exchange: (parameters) => client.genericGrantRequest(config, TOKEN_EXCHANGE, parameters, proving),
    introspect: (token) => client.tokenIntrospection(config, token),
    revoke: (token) => client.tokenRevocation(config, token),
  }
}

/** `error` and `error_description` of what was thrown. A failed authentication (401) is thrown with its body unread. */
export async function refusal(thrown) {
  const body = thrown instanceof client.WWWAuthenticateChallengeError ? await thrown.response.json() : thrown
  return { error: body.error, description: body.error_description }
}
