// The parts of the token profile that any reader of JWTs has: strict JSON, base64url, keys, signatures. The
// section numbers are those of docs/token-profile.md. Only Node's own crypto is used.

import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';

/** Why something is not accepted; `reason` is a code of section 14. */
export class Refusal extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

export function demand(condition, reason) {
  if (!condition) throw new Refusal(reason);
}

export function wellFormed(condition) {
  demand(condition, 'malformed');
}

// ---- 1. Texts, numbers, JSON -------------------------------------------------------------------

const MAX_JSON_LEVELS = 40;
const SMALLEST_NORMAL = 2 ** -1022;
const LONE_SURROGATE = /\p{Surrogate}/u; // of a pair it matches nothing

/** 1.2: the bytes, or null when the text is not what they are written as; the empty text gives no bytes. */
function decodeBase64url(text) {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}

/** A JSON number keeps its text, because an integer member is judged on how it is written (1.5). */
export class JsonNumber {
  constructor(text) {
    this.text = text;
    this.value = Number(text);
  }
}

/** 1.3: objects become Maps, arrays Arrays, numbers JsonNumbers; the rest are JavaScript's own. */
export class StrictJsonReader {
  constructor(text) {
    wellFormed(!LONE_SURROGATE.test(text)); // half a character beside an escaped half would look like one
    Object.assign(this, { text, position: 0, values: 0, deepest: 0 });
  }

  document() {
    const value = this.value(0);
    this.skipSpace();
    wellFormed(this.position === this.text.length);
    return value;
  }

  value(openLevels) {
    this.values += 1;
    this.skipSpace();
    switch (this.text[this.position]) {
      case '{': return this.object(openLevels + 1);
      case '[': return this.array(openLevels + 1);
      case '"': return this.string();
      default: return this.literalOrNumber();
    }
  }

  object(level) {
    const members = new Map();
    this.bracketed('}', level, () => {
      this.skipSpace();
      const name = this.string();
      wellFormed(!members.has(name) && this.takeIf(':'));
      members.set(name, this.value(level));
    });
    return members;
  }

  array(level) {
    const elements = [];
    this.bracketed(']', level, () => elements.push(this.value(level)));
    return elements;
  }

  bracketed(closing, level, readItem) {
    wellFormed(level <= MAX_JSON_LEVELS);
    this.deepest = Math.max(this.deepest, level);
    this.position += 1;
    if (this.takeIf(closing)) return;
    do readItem(); while (this.takeIf(','));
    wellFormed(this.takeIf(closing));
  }

  string() {
    const quoted = this.match(/"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\u0000-\u001f]*)*"/y);
    wellFormed(quoted !== null);
    const unescaped = JSON.parse(quoted); // of one string literal JSON.parse loses nothing
    wellFormed(!LONE_SURROGATE.test(unescaped));
    return unescaped;
  }

  literalOrNumber() {
    const text = this.match(/true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y);
    wellFormed(text !== null);
    if (LITERALS.has(text)) return LITERALS.get(text);
    wellFormed(isInterchangeable(text));
    return new JsonNumber(text);
  }

  takeIf(character) {
    this.skipSpace();
    if (this.text[this.position] !== character) return false;
    this.position += 1;
    return true;
  }

  skipSpace() {
    this.match(/[ \t\n\r]*/y);
  }

  match(stickyPattern) {
    stickyPattern.lastIndex = this.position;
    const found = stickyPattern.exec(this.text);
    this.position += found === null ? 0 : found[0].length;
    return found && found[0];
  }
}

const LITERALS = new Map([['true', true], ['false', false], ['null', null]]);

/** 1.4, for a text that the grammar takes: is it exact in every reader that uses doubles? */
function isInterchangeable(text) {
  const [, whole, fraction = '', exponent = '0'] = /^-?([0-9]+)(?:\.([0-9]+))?(?:[eE](.+))?$/.exec(text);
  const digits = (whole + fraction).replace(/^0+/, '');
  if (digits === '') return true;
  const significant = digits.replace(/0+$/, '');
  const scale = Number(exponent) - fraction.length + (digits.length - significant.length);
  if (scale < 0) return significant.length <= 15 && Math.abs(Number(text)) >= SMALLEST_NORMAL;
  if (significant.length + scale > 16) return false; // before 10n ** scale gets large
  return BigInt(significant) * 10n ** BigInt(scale) <= BigInt(Number.MAX_SAFE_INTEGER);
}

export function readJson(text) {
  return new StrictJsonReader(text).document();
}

export function readJsonObject(bytes) {
  let text = null;
  try { // ignoreBOM leaves the byte-order mark in the text, where the grammar refuses it
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refusal('malformed');
  }
  const value = readJson(text);
  wellFormed(isObject(value));
  return value;
}

export const isObject = (value) => value instanceof Map;
export const isString = (value) => typeof value === 'string';
export const isNonEmptyString = (value) => isString(value) && value !== '';
export const hasDuplicates = (items) => new Set(items).size !== items.length;
export const isSubset = (items, set) => [...items].every((item) => set.has(item));
export const sameSet = (one, other) => one.size === other.size && isSubset(one, other);

/** 1.5: an integer member as a JavaScript number. */
export function readInteger(value) {
  wellFormed(value instanceof JsonNumber && /^(?:-0|[0-9]+)$/.test(value.text));
  return Math.abs(value.value);
}

const keysOfContainers = new WeakMap();

/** 1.6: a text that is the same for two JSON values exactly when they are equal. */
export function equalityKey(value) {
  if (value instanceof JsonNumber) return String(value.value); // of -0 this is "0"
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (!keysOfContainers.has(value)) keysOfContainers.set(value, containerKey(value));
  return keysOfContainers.get(value);
}

function containerKey(value) {
  if (Array.isArray(value)) return `[${value.map(equalityKey).join(',')}]`;
  const names = [...value.keys()].sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${equalityKey(value.get(name))}`).join(',')}}`;
}

/** 1.7: the object has all of `required`, and nothing besides but some of `optional`. */
export function isClosed(object, required, optional = []) {
  const known = new Set([...required, ...optional]);
  return isObject(object) && required.every((name) => object.has(name)) && isSubset(object.keys(), known);
}

export function levelsOf(value) {
  if (!isObject(value) && !Array.isArray(value)) return 0;
  return 1 + Math.max(0, ...[...value.values()].map(levelsOf));
}

// ---- 3. Algorithms, signatures, keys -----------------------------------------------------------

const ALGORITHM_OF_KTY = new Map([['EC', 'ES256'], ['OKP', 'Ed25519'], ['RSA', 'RS256']]);
export const CURVE_OF_KTY = new Map([['EC', 'P-256'], ['OKP', 'Ed25519']]);
export const ALGORITHM_OF_NAME = new Map(
  [['ES256', 'ES256'], ['Ed25519', 'Ed25519'], ['EdDSA', 'Ed25519'], ['RS256', 'RS256']],
);
const KEY_MEMBERS = ['crv', 'x', 'y', 'n', 'e'];
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];
const MAX_KEYS = 100;

/** 3.3: the parts as bytes; null when the text is not a compact JWS. */
export function splitJws(text) {
  const parts = text.split('.');
  if (parts.length !== 3 || parts[0] === '' || parts[2] === '') return null;
  const [header, payload, signature] = parts.map(decodeBase64url);
  if (header === null || payload === null || signature === null) return null;
  return { header, payload, signature, signingInput: Buffer.from(`${parts[0]}.${parts[1]}`, 'ascii') };
}

/** 3.2. That r, s and S are in range is checked by the library. */
export function signatureVerifies(jws, key) {
  if (jws.signature.length !== key.signatureLength) return false;
  const { publicKey, alg } = key;
  if (alg === 'Ed25519') return verifySignature(null, jws.signingInput, publicKey, jws.signature);
  const options = alg === 'ES256' ? { key: publicKey, dsaEncoding: 'ieee-p1363' } : publicKey;
  return verifySignature('sha256', jws.signingInput, options, jws.signature);
}

/** 3.5 */
export function thumbprintOf(jwk) {
  const members = { EC: ['crv', 'kty', 'x', 'y'], OKP: ['crv', 'kty', 'x'], RSA: ['e', 'kty', 'n'] }[jwk.get('kty')];
  const text = JSON.stringify(Object.fromEntries(members.map((name) => [name, jwk.get(name)])));
  return createHash('sha256').update(text).digest('base64url');
}

/** 3.4: a Map from `kid` to key, in the order of the set. A set that is not to be used throws a Refusal. */
export function readKeySet(text) {
  const refuseUnless = (condition) => demand(condition, 'key_set_refused');
  const set = readJson(text);
  refuseUnless(isObject(set) && Array.isArray(set.get('keys')) && set.get('keys').length <= MAX_KEYS);
  const jwks = set.get('keys');
  refuseUnless(jwks.every((jwk) => isObject(jwk) && !isPrivate(jwk)));
  const keys = jwks.filter((jwk) => !isPassedOver(jwk)).map(importKeyOfSet);
  refuseUnless(!keys.includes(null));
  refuseUnless(!hasDuplicates(keys.map((key) => key.kid)) && !hasDuplicates(keys.map((key) => key.thumbprint)));
  return new Map(keys.map((key) => [key.kid, key]));
}

function isPrivate(jwk) {
  return jwk.get('kty') === 'oct' || PRIVATE_MEMBERS.some((name) => jwk.has(name));
}

function isPassedOver(jwk) {
  const kty = jwk.get('kty');
  if (!ALGORITHM_OF_KTY.has(kty)) return true;
  if (jwk.has('use') && jwk.get('use') !== 'sig') return true;
  const operations = jwk.get('key_ops');
  if (jwk.has('key_ops') && !(Array.isArray(operations) && operations.includes('verify'))) return true;
  if (!jwk.has('alg')) return kty !== 'RSA' && jwk.get('crv') !== CURVE_OF_KTY.get(kty);
  const alg = jwk.get('alg');
  return !ALGORITHM_OF_NAME.has(alg) || (alg === 'EdDSA' && jwk.get('crv') === 'Ed448');
}

function importKeyOfSet(jwk) {
  const kid = jwk.get('kid');
  if (!isNonEmptyString(kid) || [...kid].length > 256) return null;
  const expected = ALGORITHM_OF_KTY.get(jwk.get('kty'));
  if (jwk.has('alg') && ALGORITHM_OF_NAME.get(jwk.get('alg')) !== expected) return null;
  if (KEY_MEMBERS.some((name) => jwk.has(name) && !isString(jwk.get(name)))) return null;
  if (jwk.get('kty') !== 'RSA' && jwk.get('crv') !== CURVE_OF_KTY.get(jwk.get('kty'))) return null;
  const key = importKey(jwk);
  return key && { kid, ...key };
}

/** A key that is sound, or null. */
export function importKey(jwk) {
  const kty = jwk.get('kty');
  const signatureLength = { EC: ecSignatureLength, OKP: okpSignatureLength, RSA: rsaSignatureLength }[kty](jwk);
  const publicKey = signatureLength === null ? null : parsePublicKey(jwk);
  return publicKey && { alg: ALGORITHM_OF_KTY.get(kty), thumbprint: thumbprintOf(jwk), publicKey, signatureLength };
}

function parsePublicKey(jwk) {
  try {
    return createPublicKey({ key: Object.fromEntries(jwk), format: 'jwk' });
  } catch {
    return null;
  }
}

function decodeMember(jwk, name, length) {
  const bytes = isNonEmptyString(jwk.get(name)) ? decodeBase64url(jwk.get(name)) : null;
  return bytes !== null && (length === undefined || bytes.length === length) ? bytes : null;
}

const toBigInt = (bytes) => BigInt(`0x${bytes.toString('hex')}`);
const modulo = (value, modulus) => ((value % modulus) + modulus) % modulus;

function power(base, exponent, modulus) {
  let result = 1n;
  for (let square = modulo(base, modulus), rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

/** That the point is on the curve is checked by the library when it imports the key. */
function ecSignatureLength(jwk) {
  return decodeMember(jwk, 'x', 32) !== null && decodeMember(jwk, 'y', 32) !== null ? 64 : null;
}

const ED_P = 2n ** 255n - 19n;
const ED_D = modulo(-121665n * power(121666n, ED_P - 2n, ED_P), ED_P);

function okpSignatureLength(jwk) {
  const bytes = decodeMember(jwk, 'x', 32);
  if (bytes === null) return null;
  const y = toBigInt(bytes.reverse()) & (2n ** 255n - 1n); // the top bit is the sign of x
  return y < ED_P && isEdwardsOrdinate(y) && !isOfSmallOrder(y) ? 64 : null;
}

/** x^2 of a point with this y, from -x^2 + y^2 = 1 + d x^2 y^2. */
function edwardsXSquared(y) {
  return modulo((y * y - 1n) * power(ED_D * y * y + 1n, ED_P - 2n, ED_P), ED_P);
}

/** x = 0 is left to isOfSmallOrder: with and without a sign bit it is refused there. */
function isEdwardsOrdinate(y) {
  const xSquared = edwardsXSquared(y);
  return xSquared === 0n || power(xSquared, (ED_P - 1n) / 2n, ED_P) === 1n;
}

/** Doubling needs only y; eight times a point of order 1, 2, 4 or 8 is the neutral one, whose y is 1. */
function isOfSmallOrder(y) {
  let current = y;
  for (let doublings = 0; doublings < 3; doublings += 1) {
    const [xx, yy] = [edwardsXSquared(current), current * current];
    current = modulo((yy + xx) * power(1n - ED_D * xx * yy, ED_P - 2n, ED_P), ED_P);
  }
  return current === 1n;
}

const ROCA_PRIMES = [11n, 13n, 17n, 19n, 37n, 53n, 61n, 71n, 73n, 79n, 97n, 103n, 107n, 109n, 127n, 151n, 157n];

function rsaSignatureLength(jwk) {
  const [modulusBytes, exponentBytes] = [decodeMember(jwk, 'n'), decodeMember(jwk, 'e')];
  if (modulusBytes === null || exponentBytes === null) return null;
  if (modulusBytes[0] === 0 || exponentBytes[0] === 0) return null; // RFC 7518 section 2: the fewest octets
  const [modulus, exponent] = [toBigInt(modulusBytes), toBigInt(exponentBytes)];
  const bits = modulus.toString(2).length;
  if (bits < 2048 || bits > 8192 || modulus % 2n === 0n) return null;
  if (exponent < 65537n || exponent >= 2n ** 64n || exponent % 2n === 0n) return null;
  return ROCA_PRIMES.every((prime) => isPowerOf65537(modulus % prime, prime)) ? null : modulusBytes.length;
}

function isPowerOf65537(residue, prime) {
  let element = 1n;
  do {
    if (element === residue) return true;
    element = (element * 65537n) % prime;
  } while (element !== 1n);
  return false;
}
