// jose: a resource server that knows nothing of delegation takes the token as an ordinary one (RFC 9068).
import { createRemoteJWKSet, jwtVerify } from 'jose'

export async function verify(issuer, audience, token) {
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`))
  const requiredClaims = ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'client_id']
  const { payload } = await jwtVerify(token, keys, {
    issuer, audience, typ: 'at+jwt', algorithms: ['ES256'], requiredClaims,
  })
  return payload
}
