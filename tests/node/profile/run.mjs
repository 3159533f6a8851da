// Runs the golden tokens in a directory: node run.mjs DIR. Exits 1 on any disagreement; the step and the hop of a
// refusal are compared too.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Refusal, equalsJsonText, judgeCall, makeTerms, readKeySet, verify } from './verifier.mjs';

const directory = process.argv[2];
const readGolden = (name) => JSON.parse(readFileSync(join(directory, name), 'utf8'));
const setup = readGolden('setup.json');
const keySets = new Map(Object.entries(setup.keys).map(([owner, jwks]) => [owner, readKeySet(JSON.stringify(jwks))]));

function termsOf(testCase) {
  const expect = { ...setup.defaults.expect, ...testCase.expect };
  const ofCase = (name) => testCase[name] ?? setup.defaults[name];
  return makeTerms({
    issuers: new Map(expect.issuers.map((issuer) => [issuer, keySets.get(issuer)])),
    audiences: expect.audiences,
    authorities: expect.authorities.map((pair) => ({ ...pair, keys: keySets.get(pair.authority) })),
    agentKeys: expect.agent_keys,
    rootFloor: expect.root_floor,
    hopFloor: expect.hop_floor,
    order: {
      scopeGrammar: expect.order.scope_grammar,
      attenuation: expect.order.attenuation,
      properFrom: expect.order.proper_from,
    },
    leeway: expect.leeway_s,
    maxDepth: expect.max_depth,
    maxTokenBytes: expect.max_token_bytes,
    now: ofCase('now'),
    revocations: revocationsOf(ofCase('revocations')),
    holderProven: ofCase('holder_proven_upstream'),
  });
}

function revocationsOf(stated) {
  if (stated.lifetime_only_s !== undefined) return { lifetimeCap: stated.lifetime_only_s };
  if (stated.list === undefined) return {};
  const list = stated.list.map(({ kind, id, not_before: notBefore }) => ({ kind, id, notBefore }));
  return { view: { list, asOf: stated.as_of, maxStaleness: stated.max_staleness_s } };
}

/** The facts of a golden case but for the details, which are compared as JSON values. */
function factsOf(accepted) {
  return {
    iss: accepted.iss,
    sub: accepted.sub,
    actors: accepted.actors,
    audience: accepted.aud,
    exchange_only: accepted.exchangeOnly,
    scope: [...accepted.scope].sort(),
    cnf: accepted.cnf === null ? null : { [accepted.cnf.method]: accepted.cnf.thumbprint },
    iat: accepted.iat,
    exp: accepted.exp,
    jti: accepted.jti,
    lineage: accepted.lineage,
    root_evidence: accepted.rootEvidence,
    hop_evidence: accepted.hopEvidence,
  };
}

function agrees(got, result) {
  if (result.refused !== undefined || got.refused !== undefined) return isDeepStrictEqual(got, result);
  const { authorization_details: details, ...facts } = result.ok;
  return isDeepStrictEqual(factsOf(got.accepted), facts)
    && equalsJsonText(got.accepted.authorization_details.json, JSON.stringify(details));
}

function shown(got) {
  return got.accepted === undefined ? got : { ok: factsOf(got.accepted) };
}

function runCase(testCase) {
  const terms = termsOf(testCase);
  const got = verify(testCase.token, terms);
  const { id, result, calls = [] } = testCase;
  const ofCase = agrees(got, result) ? [] : [{ id, expected: result, got: shown(got) }];
  return { ofCase, ofCalls: calls.flatMap((call, i) => runCall(`${id} call ${i}`, call, got.accepted, terms)) };
}

function runCall(id, call, accepted, terms) {
  const expected = call.admitted ? null : call.reason;
  if (accepted === undefined) return [{ id, expected, got: 'the token was refused' }];
  const argumentsText = call.arguments_text ?? (call.arguments && JSON.stringify(call.arguments));
  const got = judgeCall(accepted, { scope: call.scope, tool: call.tool, argumentsText }, terms);
  return got === expected ? [] : [{ id, call, expected, got }];
}

function runKeySet({ id, jwks, jwks_text: text = JSON.stringify(jwks), result }) {
  const got = keySetResult(text);
  return { ofCase: isDeepStrictEqual(got, result) ? [] : [{ id, expected: result, got }], ofCalls: [] };
}

function keySetResult(text) {
  try {
    const keys = [...readKeySet(text).values()];
    return { ok: keys.map(({ kid, alg, thumbprint }) => ({ kid, alg, thumbprint })) };
  } catch (error) {
    if (error instanceof Refusal) return 'refused';
    throw error;
  }
}

function runFile(name, run) {
  const { cases } = readGolden(name);
  const results = cases.map(run);
  const [ofCases, ofCalls] = [results.flatMap(({ ofCase }) => ofCase), results.flatMap((result) => result.ofCalls)];
  const calls = cases.flatMap((testCase) => testCase.calls ?? []);
  const counts = [agreement(cases, ofCases, 'cases')];
  if (calls.length > 0) counts.push(agreement(calls, ofCalls, 'calls'));
  console.log(`${name}: ${counts.join(', ')}`);
  const disagreements = [...ofCases, ...ofCalls];
  for (const disagreement of disagreements) console.log(`  ${JSON.stringify(disagreement)}`);
  return disagreements.length;
}

function agreement(all, disagreements, what) {
  return `${all.length - disagreements.length} of ${all.length} ${what} agree`;
}

const files = readdirSync(directory).filter((name) => /^[0-9]{2}-.*\.json$/.test(name)).sort();
const failures = files.map((name) => runFile(name, runCase));
failures.push(runFile('key-sets.json', runKeySet));
process.exitCode = failures.every((count) => count === 0) ? 0 : 1;
