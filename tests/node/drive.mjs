// Drives the libraries in clients/ by lines of JSON: {library, call, issuer, client, arguments} in, {answer} or {refused}
// out. `client` is {id, auth, secret, jwk, holder}, the last two private JWKs.
import { webcrypto } from 'node:crypto'
import { createInterface } from 'node:readline'

// Node 18 has both and does not name them globally, as these libraries expect.
globalThis.crypto ??= webcrypto
globalThis.CryptoKey ??= webcrypto.CryptoKey

const ALGORITHMS = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  Ed25519: { name: 'Ed25519' },
}

async function authenticationOf(library, { auth, secret, jwk }) {
  if (!jwk) return library.authentication({ auth, secret })
  const { alg, kid, use, ...bare } = jwk
  const key = await crypto.subtle.importKey('jwk', bare, ALGORITHMS[alg], false, ['sign'])
  return library.authentication({ auth, key, kid })
}

async function keyPairOf({ alg, kid, use, ...bare }) {
  const { d, ...open } = bare
  return {
    privateKey: await crypto.subtle.importKey('jwk', bare, ALGORITHMS[alg], false, ['sign']),
    publicKey: await crypto.subtle.importKey('jwk', open, ALGORITHMS[alg], true, ['verify']),
  }
}

async function run({ library: name, call, issuer, client, arguments: given }) {
  const library = await import(`./clients/${name}.mjs`)
  if (name === 'jose') return library.verify(issuer, ...given)
  if (name === 'google-auth-library') return library.exchange(issuer, client.id, client.secret, ...given)
  const keys = client.holder && (await keyPairOf(client.holder))
  const connected = await library.connect(issuer, client.id, await authenticationOf(library, client), keys)
  return connected[call](...given)
}

async function refusal(name, thrown) {
  const { refusal: read } = await import(`./clients/${name}.mjs`)
  const said = read ? await read(thrown) : { error: thrown.code, description: thrown.message }
  return { kind: thrown.constructor.name, message: thrown.message, ...said }
}

async function outcome(asked) {
  try {
    return { answer: (await run(asked)) ?? null }
  } catch (thrown) {
    return { refused: await refusal(asked.library, thrown) }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await outcome(JSON.parse(line)))}\n`)
}
