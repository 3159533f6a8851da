// Reads {jwks, issuer, audience, now, requests} as JSON from standard input, each request {method, url, token, proof}.
// Writes for each what a resource server with oauth4webapi says of token and proof: null where it accepts, else why not.
import { webcrypto } from 'node:crypto'
import { text } from 'node:stream/consumers'

// Node 18 has both and does not name them globally, as oauth4webapi expects.
globalThis.crypto ??= webcrypto
globalThis.CryptoKey ??= webcrypto.CryptoKey
const oauth = await import('oauth4webapi')

const terms = JSON.parse(await text(process.stdin))
const server = { issuer: terms.issuer, jwks_uri: `${terms.issuer}/jwks` }
const jwks = JSON.stringify(terms.jwks)
const options = {
  requireDPoP: true,
  [oauth.clockSkew]: terms.now - Math.floor(Date.now() / 1000),
  [oauth.clockTolerance]: 30,
  [oauth.jwksCache]: {},
  [oauth.customFetch]: async () => new Response(jwks, { headers: { 'content-type': 'application/json' } }),
}

async function refusal({ method, url, token, proof }) {
  try {
    const request = new Request(url, { method, headers: { authorization: `DPoP ${token}`, dpop: proof } })
    await oauth.validateJwtAccessToken(server, request, terms.audience, options)
    return null
  } catch (error) {
    return `${error.code ?? error.name}: ${error.message}`
  }
}

const verdicts = []
for (const request of terms.requests) verdicts.push(await refusal(request))
process.stdout.write(JSON.stringify(verdicts))
