// oauth4webapi 3: the same, call by call.
import * as oauth from 'oauth4webapi'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

/** `auth` as registered; `key` is a CryptoKey, `kid` its id in the agent's `jwks_file`. */
export function authentication({ auth, secret, key, kid }) {
  if (auth === 'private_key_jwt') return oauth.PrivateKeyJwt({ key, kid })
  return auth === 'client_secret_basic' ? oauth.ClientSecretBasic(secret) : oauth.ClientSecretPost(secret)
}

/** `keys`, a CryptoKeyPair with an extractable public key, is what the agent holds; without, tokens are Bearer. */
export async function connect(issuer, clientId, authentication, keys) {
  // Only for http on a loopback address; with https leave it out.
  const options = { [oauth.allowInsecureRequests]: issuer.startsWith('http://127.0.0.1') }
  const at = new URL(issuer)
  const found = await oauth.discoveryRequest(at, { algorithm: 'oauth2', ...options })
  const server = await oauth.processDiscoveryResponse(at, found)
  const client = { client_id: clientId }
  const proving = keys ? { ...options, DPoP: oauth.DPoP(client, keys) } : options
  const ask = async (parameters) => oauth.processGenericTokenEndpointResponse(server, client,
    await oauth.genericTokenEndpointRequest(server, client, authentication, TOKEN_EXCHANGE, parameters, proving))
  return {
    // Once more with the nonce, where the service asks for one (RFC 9449 s8).
    exchange: (parameters) => ask(parameters).catch((thrown) => {
      if (!oauth.isDPoPNonceError(thrown)) throw thrown
      return ask(parameters)
    }),
    introspect: async (token) => oauth.processIntrospectionResponse(server, client,
      await oauth.introspectionRequest(server, client, authentication, token, options)),
    revoke: async (token) => oauth.processRevocationResponse(
      await oauth.revocationRequest(server, client, authentication, token, options)),
  }
}

/** `error` and `error_description` of what was thrown. A failed authentication (401) is thrown with its body unread. */
export async function refusal(thrown) {
  const body = thrown instanceof oauth.WWWAuthenticateChallengeError ? await thrown.response.json() : thrown
  return { error: body.error, description: body.error_description }
}
