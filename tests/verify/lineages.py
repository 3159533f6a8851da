"""Random lawful chains, and an oracle that judges the claims of a token by the plain words of the law, with sets."""

from itertools import groupby, pairwise

from hypothesis import strategies as st

from tests.simulator import API, FILES, NOW, Members, Simulator, act, jti

SIM = Simulator()
SCOPES = ("a", "b", "c", "d", "e", "f", "g")
RESOURCES = (API, FILES, "urn:three")


def subset(draw: st.DrawFn, parent: list[str]) -> list[str]:
    return draw(st.lists(st.sampled_from(parent), min_size=1, max_size=len(parent), unique=True))


@st.composite
def chains(draw: st.DrawFn, name: str = "one") -> list[Members]:
    """A root and one to four hops, each properly less than the entry above, self-narrowings among them."""
    scope = draw(st.lists(st.sampled_from(SCOPES), min_size=5, max_size=len(SCOPES), unique=True))
    root = SIM.root(
        scope=" ".join(scope), resources=subset(draw, list(RESOURCES)), max_depth=draw(st.integers(1, 5)), jti=jti(name)
    )
    entries = [root]
    hops = draw(st.integers(1, min(4, root["max_depth"])))
    for index in range(hops):
        above = entries[-1]
        scope = draw(st.lists(st.sampled_from(scope), min_size=1, max_size=len(scope) - 1, unique=True))
        stays = index and draw(st.booleans())
        entries.append(
            SIM.hop(
                above,
                above["actor"] if stays else f"agent-{index}",
                scope=" ".join(scope),
                resources=subset(draw, above["resources"]),
                max_depth=draw(st.integers(hops, above["max_depth"])),
                iat=draw(st.integers(above["iat"], NOW - 20)),
                exp=draw(st.integers(NOW + 400, above["exp"])),
                jti=jti(f"{name} {index}"),
            )
        )
        if len(scope) == 1:
            break
    return entries


@st.composite
def claims(draw: st.DrawFn) -> Members:
    """The claims of a lawful token."""
    entries = draw(chains())
    leaf = entries[-1]
    return SIM.claims(
        entries,
        aud=draw(st.sampled_from([*leaf["resources"], SIM.iss])),
        iat=draw(st.integers(leaf["iat"], NOW)),
        exp=draw(st.integers(NOW + 1, NOW + 400)),
        scope=" ".join(draw(st.permutations(leaf["scope"].split(" ")))),
    )


def faults(token: Members) -> list[str]:
    """What is unlawful about these claims. Written from TOKEN.md and not from the code: plain dicts and sets."""
    root, *hops = token["grant_chain"]
    leaf = hops[-1]

    def scope(holder: Members) -> set[str]:
        return set(holder["scope"].split(" "))

    rules: list[tuple[str, bool]] = [
        ("user", token["sub"] == root["sub"]),
        ("issuer", token["iss"] == root["iss"] == SIM.iss),
        ("act", token["act"] == act(*(hop["actor"] for hop in reversed(hops)))),
        ("client", token["client_id"] == leaf["actor"]),
        ("parents", all(below["parent"] == above["jti"] for above, below in pairwise([root, *hops]))),
        ("jti", len({token["jti"], *(entry["jti"] for entry in [root, *hops])}) == len(hops) + 2),
        ("audience", token["aud"] in {*leaf["resources"], token["iss"]}),
        ("leaf", scope(token) == scope(leaf)),
        ("proof", "cnf" not in leaf and "cnf" not in token),
        ("numbers", all(entry["max_depth"] >= 0 for entry in [root, *hops])),
        ("details", "authorization_details" not in token),
        ("loop", len({hop["actor"] for hop in hops}) == sum(1 for _ in groupby(hop["actor"] for hop in hops))),
    ]
    for depth, entry in enumerate([root, *hops]):
        rules += [("token", token["exp"] <= entry["exp"] and token["iat"] >= entry["iat"])]
        for below, hop in enumerate(hops[depth:], start=depth + 1):
            rules += [
                (f"scope {depth} {below}", scope(hop) < scope(entry)),
                (f"resources {depth} {below}", set(hop["resources"]) <= set(entry["resources"])),
                (f"lifetime {depth} {below}", hop["exp"] <= entry["exp"] and hop["iat"] >= entry["iat"]),
                (f"depth {depth} {below}", below <= entry["max_depth"] and hop["max_depth"] <= entry["max_depth"]),
                (f"holder {depth} {below}", "cnf" in hop or "cnf" not in entry),
            ]
    return [name for name, holds in rules if not holds]
