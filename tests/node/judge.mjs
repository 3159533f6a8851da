// Reads {jwks, issuer, audience, now, leeway, algorithms, tokens} as JSON from standard input. Writes for each token what
// jose says of its signature (compactVerify) and of the whole token (jwtVerify): null where it accepts, else the code.
import { webcrypto } from 'node:crypto'
import { text } from 'node:stream/consumers'

// Node 18 has both and does not name them globally, as jose expects.
globalThis.crypto ??= webcrypto
globalThis.CryptoKey ??= webcrypto.CryptoKey
const { compactVerify, createLocalJWKSet, jwtVerify } = await import('jose')

const terms = JSON.parse(await text(process.stdin))
const keys = createLocalJWKSet(terms.jwks)
const { algorithms, issuer, audience } = terms
const claims = {
  algorithms,
  issuer,
  audience,
  typ: 'at+jwt',
  currentDate: new Date(terms.now * 1000),
  clockTolerance: terms.leeway,
  requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'client_id'],
}

async function refusal(verdict) {
  try {
    await verdict
    return null
  } catch (error) {
    return error.code ?? error.name
  }
}

const verdicts = []
for (const token of terms.tokens) {
  verdicts.push({
    signature: await refusal(compactVerify(token, keys, { algorithms })),
    token: await refusal(jwtVerify(token, keys, claims)),
  })
}
process.stdout.write(JSON.stringify(verdicts))
