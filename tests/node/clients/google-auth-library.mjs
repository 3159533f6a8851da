// google-auth-library: can start a delegation and accept one; it cannot hand one on.
import { StsCredentials } from 'google-auth-library'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

export async function exchange(issuer, clientId, secret, { subjectToken, resource, scope }) {
  const sts = new StsCredentials({
    tokenExchangeEndpoint: `${issuer}/token`,
    clientAuthentication: { confidentialClientType: 'basic', clientId, clientSecret: secret },
  })
  const { res, ...answer } = await sts.exchangeToken({
    grantType: TOKEN_EXCHANGE, subjectToken, subjectTokenType: ACCESS_TOKEN, resource, scope,
  })
  return answer
}
