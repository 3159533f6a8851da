// A verifier of the token profile, version 1. The section numbers are those of docs/token-profile.md.
// verify() judges a token, judgeCall() a call, readKeySet() a JWK Set.

import {
  ALGORITHM_OF_NAME, CURVE_OF_KTY, JsonNumber, Refusal, StrictJsonReader, demand, equalityKey, hasDuplicates,
  importKey, isClosed, isNonEmptyString, isObject, isString, isSubset, levelsOf, readInteger, readJson,
  readJsonObject, sameSet, signatureVerifies, splitJws, thumbprintOf, wellFormed,
} from './json-and-keys.mjs';

export { Refusal, readKeySet } from './json-and-keys.mjs';

// ---- 2. Grammars -------------------------------------------------------------------------------

const JTI = /^[A-Za-z0-9_-]{21}[AQgw]$/;
const THUMBPRINT = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/;
const SEGMENTED = /^[\w-]+(?:(?:\.[\w-]+)*(?:\.\*)?|(?::[\w-]+)*(?::\*)?)$/;
const MAX_SCOPE_TOKENS = 256;

const PCHAR = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";
const REG_NAME = "(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+";
const RESOURCE = new RegExp(
  '^[A-Za-z][A-Za-z0-9+.-]*:'
  + `(?://(?:\\[(?<ipv6>[^\\]]*)\\]|${REG_NAME})(?::[0-9]*)?(?:/${PCHAR}*)*|/?${PCHAR}+(?:/${PCHAR}*)*)`
  + `(?:\\?(?:${PCHAR}|[/?])*)?$`,
);
const H16 = /^[0-9A-Fa-f]{1,4}$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/;

const readMatching = (pattern) => (value) => {
  wellFormed(isString(value) && pattern.test(value));
  return value;
};
const readJti = readMatching(JTI);
const readThumbprint = readMatching(THUMBPRINT);

function readNonEmptyString(value) {
  wellFormed(isNonEmptyString(value));
  return value;
}

/** 2.2: the set that the text stands for, or null. */
function parseScope(value) {
  if (!isString(value)) return null;
  const tokens = value.split(' ');
  if (tokens.length > MAX_SCOPE_TOKENS || hasDuplicates(tokens)) return null;
  return tokens.every((token) => SCOPE_TOKEN.test(token)) ? new Set(tokens) : null;
}

function readScope(value) {
  const scope = parseScope(value);
  wellFormed(scope !== null);
  return scope;
}

/** 2.3 */
function checkAsterisks(scope, grammar) {
  if (grammar !== 'segments') return;
  wellFormed([...scope].every((token) => !token.includes('*') || SEGMENTED.test(token)));
}

/** 2.4 */
function isResource(value) {
  const found = isString(value) ? RESOURCE.exec(value) : null;
  if (found === null) return false;
  return found.groups.ipv6 === undefined || isIpv6Address(found.groups.ipv6);
}

/** RFC 3986 section 3.2.2: eight groups, or at most seven with one "::"; an IPv4 address ends them as two. */
function isIpv6Address(text) {
  const sides = text.split('::');
  if (sides.length > 2) return false;
  const groups = sides.map((side) => (side === '' ? [] : side.split(':')));
  const last = groups.at(-1);
  if (last.length > 0 && IPV4.test(last.at(-1))) last.splice(-1, 1, '0', '0');
  const all = groups.flat();
  return all.every((group) => H16.test(group)) && (sides.length === 2 ? all.length <= 7 : all.length === 8);
}

/** 2.5 */
function readResources(value) {
  wellFormed(Array.isArray(value) && value.length > 0 && value.every(isResource) && !hasDuplicates(value));
  return new Set(value);
}

// ---- 4. The terms of a verifier ----------------------------------------------------------------

/**
 * `issuers`: Map from issuer to key set; `authorities`: [{ issuer, authority, prefix, keys }];
 * `agentKeys`: [{ issuer, agent, thumbprints }]; `audiences`, `rootFloor`, `hopFloor`; `now`, which has no
 * default; `revocations`: { view: { list, asOf, maxStaleness } }, { lifetimeCap } or {}; `holderProven`.
 */
export function makeTerms({ order, ...stated }) {
  return {
    authorities: [], agentKeys: [], leeway: 30, maxDepth: 5, maxTokenBytes: 16384, holderProven: false, ...stated,
    order: { scopeGrammar: 'exact', attenuation: 'scope', properFrom: 1, ...order },
  };
}

// ---- 5. The token ------------------------------------------------------------------------------

const ACCESS_TOKEN_TYP = /^(?:application\/)?at\+jwt$/i;
const MAX_ACTORS = 10;

const NO_DETAILS = { json: [], list: [] };

const textReaders = (names) => Object.fromEntries(names.map((name) => [name, readNonEmptyString]));
const integerReaders = (names) => Object.fromEntries(names.map((name) => [name, readInteger]));

/** How the members of tokens and entries are read, wherever they stand. */
const MEMBER_READERS = {
  ...textReaders(['iss', 'sub', 'aud', 'client_id', 'actor']),
  ...integerReaders(['iat', 'exp', 'nbf', 'max_depth', 'index']),
  scope: readScope,
  resources: readResources,
  authorization_details: readDetails,
  jti: readJti,
  parent: readJti,
  root: readJti,
  cnf: (value) => readConfirmation(value, ['jkt']),
};
const TOKEN_READERS = { ...MEMBER_READERS, cnf: (value) => readConfirmation(value, ['jkt', 'x5t#S256']) };
const ABSENT = { authorization_details: NO_DETAILS, cnf: null, nbf: null };
const CLAIMS = ['iss', 'sub', 'aud', 'client_id', 'scope', 'iat', 'exp', 'jti'];
const OPTIONAL_CLAIMS = ['nbf', 'cnf', 'authorization_details'];

/** The members of the names given, as a JavaScript object; no reader takes the undefined of an absent one. */
function readMembers(object, required, optional, readers = MEMBER_READERS) {
  const present = [...required, ...optional.filter((name) => object.has(name))];
  return { ...ABSENT, ...Object.fromEntries(present.map((name) => [name, readers[name](object.get(name))])) };
}

/** `cnf` with one member, which is one of `methods`. */
function readConfirmation(value, methods) {
  const method = methods.find((name) => isClosed(value, [name]));
  wellFormed(method !== undefined);
  return { method, thumbprint: readThumbprint(value.get(method)) };
}

/** The actors, current one first. */
function readActors(act) {
  const actors = [];
  for (let level = act; level !== undefined; level = level.get('act')) {
    wellFormed(isClosed(level, ['sub'], ['act']) && actors.length < MAX_ACTORS);
    actors.push(readNonEmptyString(level.get('sub')));
  }
  wellFormed(actors.length > 0);
  return actors;
}

// ---- 6. The chain ------------------------------------------------------------------------------

const ROOT = ['iss', 'sub', 'scope', 'resources', 'max_depth', 'iat', 'exp', 'jti'];
const HOP = ['actor', 'scope', 'resources', 'max_depth', 'iat', 'exp', 'jti', 'parent'];
const DETAILS = 'authorization_details';
const PLAIN_ROOT = { required: ROOT, optional: [DETAILS] };
const SIGNED_ROOT = { required: [...ROOT, 'aud', 'actor', 'cnf'], optional: [DETAILS] };
const PLAIN_HOP = { required: HOP, optional: [DETAILS, 'cnf'] };
const SIGNED_HOP = { required: [...HOP, 'cnf', 'iss', 'sub', 'aud', 'root', 'index'], optional: [DETAILS] };
const MAX_HOPS = 10;
const MAX_ENTRY_CHARACTERS = 16384;

function readChain(value) {
  wellFormed(Array.isArray(value) && value.length >= 2 && value.length <= MAX_HOPS + 1);
  const [root, ...hops] = value;
  return { root: readRoot(root), hops: hops.map(readHop) };
}

/** { members, jws }; `jws` is null for a plain entry. */
function openEntry(entry) {
  wellFormed(isObject(entry));
  if (!isClosed(entry, ['jws'])) return { members: entry, jws: null };
  const text = entry.get('jws');
  wellFormed(isString(text) && text.length <= MAX_ENTRY_CHARACTERS);
  const jws = splitJws(text);
  wellFormed(jws !== null);
  return { members: readJsonObject(jws.payload), jws: { ...jws, header: readJsonObject(jws.header) } };
}

function readEntry(entry, membersOfPlain, membersOfSigned) {
  const { members, jws } = openEntry(entry);
  const { required, optional } = jws === null ? membersOfPlain : membersOfSigned;
  wellFormed(isClosed(members, required, optional));
  return { jws, ...readMembers(members, required, optional) };
}

/** `boundTo` is null for a root, which never is bound: its `cnf` is what it says of hop 1. */
const readRoot = (entry) => ({ ...readEntry(entry, PLAIN_ROOT, SIGNED_ROOT), boundTo: null });

function readHop(entry) {
  const hop = readEntry(entry, PLAIN_HOP, SIGNED_HOP);
  return { ...hop, boundTo: hop.cnf && hop.cnf.thumbprint };
}

// ---- 7. Evidence -------------------------------------------------------------------------------

/** 7.1 */
function isRootValid({ claims, chain, terms }) {
  const { root } = chain;
  if (root.jws === null) return root.iss === claims.iss && root.sub === claims.sub;
  const pair = terms.authorities.find(({ issuer, authority }) => issuer === claims.iss && authority === root.iss);
  if (pair === undefined || root.iss === claims.iss) return false;
  if (pair.prefix + root.sub !== claims.sub || root.aud !== claims.iss) return false;
  const [first] = chain.hops;
  if (first.actor !== root.actor || first.boundTo !== root.cnf.thumbprint) return false;
  return isSignedBy(root.jws, pair.keys);
}

function isSignedBy(jws, keys) {
  const { header } = jws;
  if (!isClosed(header, ['typ', 'alg', 'kid']) || header.get('typ') !== 'delegation-root+jwt') return false;
  const key = keys.get(header.get('kid'));
  return key !== undefined && header.get('alg') === key.alg && signatureVerifies(jws, key);
}

/** 7.2 */
function isGrantValid({ claims, chain }, hop, parent, index) {
  if (hop.jws === null) return true;
  if (index < 2) return false;
  const stated = hop.iss === parent.actor && hop.sub === claims.sub && hop.aud === claims.iss
    && hop.root === chain.root.jti && hop.index === index;
  return stated && isSignedByDelegator(hop.jws, parent);
}

function isSignedByDelegator(jws, delegator) {
  const { header } = jws;
  if (!isClosed(header, ['typ', 'alg', 'jwk']) || header.get('typ') !== 'delegation-grant+jwt') return false;
  const jwk = header.get('jwk');
  if (!isGrantJwk(jwk) || delegator.boundTo === null || thumbprintOf(jwk) !== delegator.boundTo) return false;
  if (jwk.get('crv') !== CURVE_OF_KTY.get(jwk.get('kty'))) return false;
  const key = importKey(jwk);
  return key !== null && header.get('alg') === key.alg && signatureVerifies(jws, key);
}

function isGrantJwk(jwk) {
  if (!isObject(jwk) || ![...jwk.values()].every(isString)) return false;
  if (jwk.get('kty') === 'EC') return isClosed(jwk, ['crv', 'kty', 'x', 'y']);
  return jwk.get('kty') === 'OKP' && isClosed(jwk, ['crv', 'kty', 'x']);
}

/** 7.3 */
function isEvidenceSufficient({ claims, chain, terms }, hop, index) {
  const pins = terms.agentKeys
    .filter(({ issuer, agent }) => issuer === claims.iss && agent === hop.actor)
    .flatMap(({ thumbprints }) => thumbprints);
  if (pins.length > 0 && !pins.includes(hop.boundTo)) return false;
  const rootIsSigned = chain.root.jws !== null;
  if (index === 1 && terms.rootFloor === 'authority' && !rootIsSigned) return false;
  if (terms.hopFloor !== 'delegator') return true;
  return index === 1 ? rootIsSigned || pins.length > 0 : hop.jws !== null;
}

// ---- 8. The order on authority -----------------------------------------------------------------

/** 8.1 */
function isWithin(hop, parent, grammar) {
  if (!coversScope(parent.scope, hop.scope, grammar)) return false;
  if (!coversDetails(parent.authorization_details, hop.authorization_details, new Work('too_large'))) return false;
  return isSubset(hop.resources, parent.resources)
    && hop.exp <= parent.exp && hop.iat >= parent.iat
    && hop.max_depth <= parent.max_depth
    && (parent.boundTo === null || hop.boundTo !== null);
}

function coversScope(wide, narrow, grammar) {
  return [...narrow].every((token) => isScopeTokenCovered(wide, token, grammar));
}

/** 8.2 */
function isScopeTokenCovered(wide, token, grammar) {
  if (wide.has(token)) return true;
  if (grammar !== 'segments' || !SEGMENTED.test(token)) return false;
  return [...wide].some((other) =>
    other.endsWith('*') && SEGMENTED.test(other) && token.startsWith(other.slice(0, -1)));
}

/** 8.3 */
function isProperlyLess(hop, parent, order) {
  if (!coversScope(hop.scope, parent.scope, order.scopeGrammar)) return true;
  if (order.attenuation !== 'authority') return false;
  if (!isSubset(parent.resources, hop.resources)) return true;
  const kept = new Set(hop.authorization_details.list.map((detail) => detail.key));
  if (parent.authorization_details.list.some((detail) => detail.tools === null && !kept.has(detail.key))) return true;
  const toolNames = toolNamesOf(hop.authorization_details);
  return !toolNames.has('*') && !isSubset(toolNamesOf(parent.authorization_details), toolNames);
}

function toolNamesOf(details) {
  return new Set(details.list.flatMap((detail) => (detail.tools === null ? [] : [...detail.tools.keys()])));
}

// ---- 9. Authorization details ------------------------------------------------------------------

const KNOWN_TYPE = 'attenuating_agent_token';
const MAX_DETAILS = 64;
const MAX_DETAIL_LEVELS = 32;
const MAX_LIST = 256;
const WILDCARD = { type: 'wildcard' };
const ANY_ARGUMENTS = new Map([['*', { optional: false, constraint: WILDCARD }]]);

/** `json` is the member as it stands, `list` what it says. */
function readDetails(json) {
  wellFormed(Array.isArray(json) && json.length >= 1 && json.length <= MAX_DETAILS);
  wellFormed(levelsOf(json) <= MAX_DETAIL_LEVELS && !hasDuplicates(json.map(equalityKey)));
  return { json, list: json.map(readDetail) };
}

/** `tools` is null for a detail of another type. */
function readDetail(detail) {
  wellFormed(isObject(detail) && isNonEmptyString(detail.get('type')));
  const key = equalityKey(detail);
  if (detail.get('type') !== KNOWN_TYPE) return { key, locations: null, tools: null };
  wellFormed(isClosed(detail, ['type', 'tools'], ['locations']));
  return {
    key,
    locations: detail.has('locations') ? readLocations(detail.get('locations')) : null,
    tools: readTools(detail.get('tools')),
  };
}

function readLocations(value) {
  wellFormed(Array.isArray(value) && value.length >= 1 && value.length <= MAX_LIST);
  wellFormed(value.every(isNonEmptyString) && !hasDuplicates(value));
  return new Set(value);
}

function readTools(value) {
  wellFormed(isObject(value) && value.size > 0);
  return new Map([...value].map(([name, args]) => [name, readArguments(args)]));
}

function readArguments(value) {
  wellFormed(isObject(value));
  if (value.size === 0) return ANY_ARGUMENTS;
  return new Map([...value].map(([name, constraint]) => [name, readArgument(name, constraint)]));
}

function readArgument(name, value) {
  wellFormed(isObject(value));
  if (!value.has('optional')) return { optional: false, constraint: readConstraint(value) };
  wellFormed(name !== '*' && value.get('optional') === true);
  const members = new Map(value);
  members.delete('optional');
  return { optional: true, constraint: readConstraint(members) };
}

const isRequired = (name, argument) => name !== '*' && !argument.optional;

/** 9.3: the members beside `constraint_type`, and how they are read. */
const CONSTRAINTS = new Map([
  ['exact', { required: ['value'], read: (members) => readValues([members.get('value')]) }],
  ['one_of', { required: ['values'], read: (members) => readValues(members.get('values')) }],
  ['not_one_of', { required: ['excluded'], read: (members) => readValues(members.get('excluded')) }],
  ['range', { required: [], optional: ['min', 'max', 'min_inclusive', 'max_inclusive'], read: readRange }],
  ['contains', { required: ['required'], read: (members) => readValues(members.get('required')) }],
  ['subset', { required: ['allowed'], read: (members) => readValues(members.get('allowed')) }],
  ['wildcard', { required: [], read: () => ({}) }],
  ['all', { required: ['constraints'], read: readClauses }],
  ['any', { required: ['constraints'], read: readClauses }],
]);

function readConstraint(members) {
  wellFormed(isObject(members));
  const type = members.get('constraint_type');
  const form = CONSTRAINTS.get(type);
  wellFormed(form !== undefined && isClosed(members, ['constraint_type', ...form.required], form.optional));
  return { type, ...form.read(members) };
}

function readValues(list) {
  wellFormed(Array.isArray(list) && list.length >= 1 && list.length <= MAX_LIST);
  const keys = list.map(equalityKey);
  wellFormed(!hasDuplicates(keys));
  return { list, keys: new Set(keys) };
}

function readClauses(members) {
  const clauses = members.get('constraints');
  wellFormed(Array.isArray(clauses) && clauses.length >= 1 && clauses.length <= MAX_LIST);
  return { clauses: clauses.map(readConstraint) };
}

function readRange(members) {
  const [min, max] = [readBound(members, 'min'), readBound(members, 'max')];
  wellFormed(min !== null || max !== null);
  return { min, max };
}

function readBound(members, name) {
  const flag = `${name}_inclusive`;
  if (!members.has(name)) {
    wellFormed(!members.has(flag));
    return null;
  }
  const inclusive = members.has(flag) ? members.get(flag) : true;
  wellFormed(members.get(name) instanceof JsonNumber && typeof inclusive === 'boolean');
  return { value: members.get(name).value, inclusive };
}

/** 9.3: does the constraint admit the value? */
function admits(constraint, value, work) {
  work.spend();
  switch (constraint.type) {
    case 'exact':
    case 'one_of': return constraint.keys.has(equalityKey(value));
    case 'not_one_of': return !constraint.keys.has(equalityKey(value));
    case 'range': return value instanceof JsonNumber && isInRange(constraint, value.value);
    case 'contains': return Array.isArray(value) && isSubset(constraint.keys, elementKeys(value, work));
    case 'subset': return Array.isArray(value) && isSubset(elementKeys(value, work), constraint.keys);
    case 'wildcard': return true;
    case 'all': return constraint.clauses.every((clause) => admits(clause, value, work));
    case 'any': return constraint.clauses.some((clause) => admits(clause, value, work));
    default: throw new TypeError(constraint.type);
  }
}

function elementKeys(array, work) {
  work.spend(array.length);
  return new Set(array.map(equalityKey));
}

function isInRange({ min, max }, number) {
  const aboveMin = min === null || number > min.value || (min.inclusive && number === min.value);
  const belowMax = max === null || number < max.value || (max.inclusive && number === max.value);
  return aboveMin && belowMax;
}

// ---- 10. Details compared, calls judged --------------------------------------------------------

const MAX_STEPS = 50_000;

/** 10.5: bounds the work for one hop or one call, and remembers the pairs that were judged. */
class Work {
  constructor(reason) {
    this.reason = reason;
    this.left = MAX_STEPS;
    this.verdicts = new Map();
  }

  spend(steps = 1) {
    this.left -= steps;
    demand(this.left >= 0, this.reason);
  }

  /** Each pair of two nodes is judged once; without that, nested `any` and `all` take exponential time. */
  once(parent, child, judge) {
    if (!this.verdicts.has(parent)) this.verdicts.set(parent, new Map());
    const ofParent = this.verdicts.get(parent);
    if (!ofParent.has(child)) ofParent.set(child, judge());
    return ofParent.get(child);
  }
}

function coversDetails(wide, narrow, work) {
  return narrow.list.every((child) => wide.list.some((parent) => coversDetail(parent, child, work)));
}

/** 10.1 */
function coversDetail(parent, child, work) {
  work.spend();
  if (parent.tools === null || child.tools === null) return parent.key === child.key;
  const located = parent.locations === null
    || (child.locations !== null && isSubset(child.locations, parent.locations));
  return located && coversNames(parent.tools, child.tools, coversArguments, work);
}

/** 10.2 */
function coversNames(parent, child, coversItem, work) {
  if (child.has('*') && !isSubset(parent.keys(), child)) return false;
  return [...child].every(([name, item]) => {
    work.spend();
    const found = parent.get(name) ?? parent.get('*');
    return found !== undefined && coversItem(found, item, work);
  });
}

/** 10.3 */
function coversArguments(parent, child, work) {
  const keepsRequired = [...parent].every(([name, argument]) => {
    work.spend();
    return !isRequired(name, argument) || (child.has(name) && isRequired(name, child.get(name)));
  });
  return keepsRequired && coversNames(parent, child, coversArgument, work);
}

function coversArgument(parent, child, work) {
  return covers(parent.constraint, child.constraint, work);
}

function covers(parent, child, work) {
  return work.once(parent, child, () => judgeConstraints(parent, child, work));
}

/** 10.4: the first rule that applies decides. */
function judgeConstraints(parent, child, work) {
  work.spend();
  if (parent.type === 'wildcard') return true;
  if (child.type === 'exact' || child.type === 'one_of') {
    return child.list.every((value) => admits(parent, value, work));
  }
  if (child.type === 'any') return child.clauses.every((clause) => covers(parent, clause, work));
  if (parent.type === 'all') return parent.clauses.every((clause) => covers(clause, child, work));
  if (parent.type === 'any' && parent.clauses.some((clause) => covers(clause, child, work))) return true;
  if (child.type === 'all') return child.clauses.some((clause) => covers(parent, clause, work));
  return parent.type === child.type && coversSameType(parent, child, work);
}

function coversSameType(parent, child, work) {
  if (parent.type === 'range') {
    return coversBound(parent.min, child.min, 1) && coversBound(parent.max, child.max, -1);
  }
  work.spend(parent.keys.size + child.keys.size);
  return parent.type === 'subset' ? isSubset(child.keys, parent.keys) : isSubset(parent.keys, child.keys);
}

/** `direction` is 1 for a minimum, -1 for a maximum. */
function coversBound(parent, child, direction) {
  if (parent === null) return true;
  if (child === null) return false;
  const tightened = direction * (child.value - parent.value);
  return tightened > 0 || (tightened === 0 && (parent.inclusive || !child.inclusive));
}

const MAX_CALL_LEVELS = 32;
const MAX_CALL_VALUES = 100_000;

/**
 * 10.6: null when the accepted token allows the call, else the reason why not. `call` has `scope`, or `tool`
 * with `argumentsText`, or both.
 */
export function judgeCall(accepted, call, terms) {
  if (call.scope === undefined && call.tool === undefined) throw new TypeError('a call asks for scope, tool or both');
  if (call.tool === undefined && call.argumentsText !== undefined) throw new TypeError('arguments are those of a tool');
  try {
    demand(!accepted.exchangeOnly, 'insufficient_scope');
    if (call.scope !== undefined) checkCallScope(accepted, call.scope, terms.order.scopeGrammar);
    if (call.tool !== undefined) checkToolCall(accepted, call.tool, call.argumentsText ?? '{}');
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
}

function checkCallScope(accepted, text, grammar) {
  const scope = parseScope(text);
  demand(scope !== null && coversScope(accepted.scope, scope, grammar), 'insufficient_scope');
}

function checkToolCall(accepted, tool, argumentsText) {
  const args = readCallArguments(argumentsText);
  demand(args !== null && tool !== '*' && !args.has('*'), 'argument_denied');
  const work = new Work('argument_denied');
  const admitting = accepted.authorization_details.list.some(({ tools, locations }) =>
    tools !== null && (locations === null || locations.has(accepted.aud)) && admitsCall(tools, tool, args, work));
  demand(admitting, 'argument_denied');
}

function readCallArguments(text) {
  try {
    const reader = new StrictJsonReader(text);
    const args = reader.document();
    return isObject(args) && reader.deepest <= MAX_CALL_LEVELS && reader.values <= MAX_CALL_VALUES ? args : null;
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}

function admitsCall(tools, tool, args, work) {
  work.spend();
  const listed = tools.get(tool) ?? tools.get('*');
  if (listed === undefined) return false;
  const complete = [...listed].every(([name, argument]) => {
    work.spend();
    return !isRequired(name, argument) || args.has(name);
  });
  return complete && [...args].every(([name, value]) => {
    work.spend();
    const argument = listed.get(name) ?? listed.get('*');
    return argument !== undefined && admits(argument.constraint, value, work);
  });
}

// ---- 11. Revocation ----------------------------------------------------------------------------

/** For each kind the pairs [id, `iat` beside] that a revocation can hit. */
function revocableIds({ claims, chain }) {
  const { root, hops } = chain;
  const besideRoot = (ids) => ids.map((id) => [id, root.iat]);
  const thumbprints = hops.map((hop) => hop.boundTo).filter((thumbprint) => thumbprint !== null);
  return new Map([
    ['entry', besideRoot([root.jti, ...hops.map((hop) => hop.jti)])],
    ['user', besideRoot([claims.sub])],
    ['issuer', besideRoot([claims.iss, root.iss])],
    ['actor', hops.map((hop) => [hop.actor, hop.iat])],
    ['key', besideRoot(claims.cnf === null ? thumbprints : [...thumbprints, claims.cnf.thumbprint])],
    ['subject_token', []],
  ]);
}

function isHit(idsOfKind, { kind, id, notBefore }) {
  const candidates = idsOfKind.get(kind);
  if (candidates === undefined) throw new TypeError(`no kind of revocation: ${kind}`);
  return candidates.some(([own, iat]) => own === id && (notBefore === undefined || iat <= notBefore));
}

// ---- 12. Verification --------------------------------------------------------------------------

function step1Text(state) {
  const { token, terms } = state;
  demand([...token].length <= terms.maxTokenBytes, 'too_large');
  state.jws = splitJws(token);
  wellFormed(state.jws !== null);
}

function step2Header(state) {
  const header = readJsonObject(state.jws.header);
  const typ = header.get('typ');
  demand(isString(typ) && ACCESS_TOKEN_TYP.test(typ), 'wrong_type');
  wellFormed(isClosed(header, ['typ', 'alg', 'kid']));
  wellFormed(ALGORITHM_OF_NAME.has(header.get('alg')) && isNonEmptyString(header.get('kid')));
  state.header = { alg: ALGORITHM_OF_NAME.get(header.get('alg')), kid: header.get('kid') };
}

function step3Issuer(state) {
  state.payload = readJsonObject(state.jws.payload);
  const iss = readNonEmptyString(state.payload.get('iss'));
  demand(state.terms.issuers.has(iss), 'untrusted_issuer');
}

function step4Signature({ jws, header, payload, terms }) {
  const key = terms.issuers.get(payload.get('iss')).get(header.kid);
  demand(key !== undefined && key.alg === header.alg, 'unknown_key');
  demand(signatureVerifies(jws, key), 'bad_signature');
}

function step5Claims(state) {
  state.claims = readMembers(state.payload, CLAIMS, OPTIONAL_CLAIMS, TOKEN_READERS);
  checkAsterisks(state.claims.scope, state.terms.order.scopeGrammar);
}

function step6Times({ claims, terms }) {
  const { now, leeway, revocations } = terms;
  demand(now < claims.exp + leeway, 'expired');
  demand(claims.iat <= now + leeway, 'not_yet_valid');
  demand(claims.nbf === null || claims.nbf <= now + leeway, 'not_yet_valid');
  const cap = revocations.lifetimeCap;
  demand(cap === undefined || claims.exp - claims.iat <= cap, 'lifetime_exceeded');
}

function step7Audience({ claims, terms }) {
  demand(terms.audiences.includes(claims.aud), 'wrong_audience');
}

function step8Holder({ claims, terms }) {
  demand(claims.cnf === null || terms.holderProven, 'holder_unproven');
}

function step9Chain(state) {
  const { payload, terms } = state;
  demand(payload.has('grant_chain'), 'chain_missing');
  wellFormed(readInteger(payload.get('grant_profile')) === 1);
  state.actors = readActors(payload.get('act'));
  state.chain = readChain(payload.get('grant_chain'));
  const { root, hops } = state.chain;
  for (const entry of [root, ...hops]) checkAsterisks(entry.scope, terms.order.scopeGrammar);
}

function step10Alignment({ claims, chain, actors }) {
  const entries = [chain.root, ...chain.hops];
  const chained = chain.hops.map((hop) => hop.actor);
  const aligned = chained.length === actors.length && [...chained].reverse().every((actor, i) => actor === actors[i]);
  const linked = chain.hops.every((hop, i) => hop.parent === entries[i].jti);
  const runs = chained.filter((actor, i) => actor !== chained[i - 1]);
  demand(aligned && linked && !hasDuplicates(runs), 'chain_misaligned');
  demand(!hasDuplicates([claims.jti, ...entries.map((entry) => entry.jti)]), 'chain_misaligned');
}

function step11Root(state) {
  demand(isRootValid(state), 'root_invalid');
}

function step12Hops(state) {
  const { root, hops } = state.chain;
  for (const [i, hop] of hops.entries()) {
    state.hop = i + 1;
    checkHop(state, hop, hops[i - 1] ?? root);
  }
}

function checkHop(state, hop, parent) {
  const { hop: index, terms: { order, maxDepth } } = state;
  demand(isGrantValid(state, hop, parent, index), 'grant_invalid');
  demand(isEvidenceSufficient(state, hop, index), 'evidence_insufficient');
  demand(isWithin(hop, parent, order.scopeGrammar), 'not_narrower');
  demand(index < order.properFrom || isProperlyLess(hop, parent, order), 'not_proper');
  demand(index <= parent.max_depth && index <= maxDepth, 'depth_exceeded');
}

function step13Leaf({ claims, chain }) {
  const last = chain.hops.at(-1);
  const sameGrant = sameSet(claims.scope, last.scope)
    && equalityKey(claims.authorization_details.json) === equalityKey(last.authorization_details.json);
  const withinTimes = claims.exp <= last.exp && claims.iat >= last.iat;
  const addressed = claims.aud === claims.iss || last.resources.has(claims.aud);
  const confirmed = last.boundTo === null
    || (claims.cnf !== null && claims.cnf.method === 'jkt' && claims.cnf.thumbprint === last.boundTo);
  demand(sameGrant && withinTimes && addressed && claims.client_id === last.actor && confirmed, 'token_exceeds_grant');
}

function step14Revocation(state) {
  const { now, leeway, revocations: { view } } = state.terms;
  if (view === undefined) return;
  const age = now - view.asOf;
  demand(-leeway <= age && age <= view.maxStaleness, 'revocation_stale');
  const ids = revocableIds(state);
  demand(!view.list.some((revocation) => isHit(ids, revocation)), 'revoked');
}

const STEPS = [
  step1Text, step2Header, step3Issuer, step4Signature, step5Claims, step6Times, step7Audience, step8Holder,
  step9Chain, step10Alignment, step11Root, step12Hops, step13Leaf, step14Revocation,
];

/** { accepted } or { refused, step } and, at step 12, { hop }. */
export function verify(token, terms) {
  const state = { token, terms };
  for (const [i, check] of STEPS.entries()) {
    try {
      check(state);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { refused: error.reason, step: i + 1, ...(i + 1 === 12 && { hop: state.hop }) };
    }
  }
  return { accepted: outcomeOf(state) };
}

/** What comes out; the details are given as they stand (`json`) and as 10.6 judges them (`list`). */
function outcomeOf({ claims, chain, actors, terms }) {
  const { client_id: currentActor, nbf, ...facts } = claims; // said by `actors`, or of no further use
  return {
    ...facts,
    actors,
    exchangeOnly: claims.aud === claims.iss,
    lineage: chain.root.jti,
    rootEvidence: chain.root.jws === null ? 'issuer' : 'authority',
    hopEvidence: chain.hops.map((hop) => (hop.jws === null ? 'issuer' : 'delegator')),
    revocationChecked: terms.revocations.view !== undefined,
    holderChecked: claims.cnf !== null && terms.holderProven,
  };
}

/** The equality of 1.6 between a JSON value that verify() gave and a JSON text. */
export function equalsJsonText(value, text) {
  return equalityKey(value) === equalityKey(readJson(text));
}
