// google-auth-library 10: can start a delegation and accept one; it cannot hand one on.
import { IdentityPoolClient } from 'google-auth-library'

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

/** `audience` is one of the resource's `names`; `scope` is a list: without one it asks for a scope of Google's. */
export async function exchange(issuer, clientId, secret, { subjectToken, audience, scope }) {
  const client = new IdentityPoolClient({
    type: 'external_account',
    token_url: `${issuer}/token`,
    client_id: clientId,
    client_secret: secret,
    audience,
    scopes: scope,
    subject_token_type: ACCESS_TOKEN,
    subject_token_supplier: { getSubjectToken: async () => subjectToken },
  })
  const { token } = await client.getAccessToken()
  return token
}
