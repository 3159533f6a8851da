"""An oracle for laws: what is unlawful about a token, from the words of TOKEN.md, with plain dicts and sets."""

from collections.abc import Iterator
from itertools import groupby

from tests.exchange.parties import ISSUER
from tests.simulator import Members, act


def words(holder: Members) -> set[str]:
    """The scopes of a token or an entry."""
    return set(holder["scope"].split(" "))


def faults(token: Members) -> list[str]:
    """The rules that the claims of a token break, each judged against every ancestor and the root."""
    return [name for name, holds in _rules(token) if not holds]


def _rules(token: Members) -> Iterator[tuple[str, bool]]:
    root, *hops = token["grant_chain"]
    leaf, actors = hops[-1], [hop["actor"] for hop in hops]
    yield "issuer", token["iss"] == root["iss"] == ISSUER
    yield "user", token["sub"] == root["sub"]
    yield "act", token["act"] == act(*reversed(actors))
    yield "client", token["client_id"] == actors[-1]
    runs = [actor for actor, _ in groupby(actors)]
    yield "loop", len(set(runs)) == len(runs)
    entries = [root, *hops]
    yield "parents", [hop["parent"] for hop in hops] == [entry["jti"] for entry in entries[:-1]]
    yield "ids", len({token["jti"], *(entry["jti"] for entry in entries)}) == len(entries) + 1
    yield "audience", token["aud"] == ISSUER or token["aud"] in leaf["resources"]
    yield "scope of the token", words(token) == words(leaf)
    for depth, entry in enumerate(entries):
        yield f"lifetime of the token within {depth}", token["exp"] <= entry["exp"] and token["iat"] >= entry["iat"]
        yield f"depth within {depth}", depth == len(hops) or len(hops) <= entry["max_depth"]
        for hop in hops[depth:]:
            yield f"scope within {depth}", words(hop) < words(entry)
            yield f"resources within {depth}", set(hop["resources"]) <= set(entry["resources"])
            yield f"lifetime within {depth}", hop["exp"] <= entry["exp"] and hop["iat"] >= entry["iat"]
            yield f"max_depth within {depth}", hop["max_depth"] <= entry["max_depth"]
