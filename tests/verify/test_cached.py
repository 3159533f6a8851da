"""A cached verification says what a cold one says, whatever changed in between."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proofs import judge, proof
from tests.simulator import API, AUTHORITY, FILES, ISSUER, NOW, USER, Members, Simulator, ec_key, jti
from tests.verify.signed import AUTHORITY_KEY, FLOORS, KEYS, PROVEN, SIGNED, SIM, Draft, holder
from tokensvc.core.authority import Attenuation, Order
from tokensvc.core.keyset import PublicKey, parse_jwks, render_jwks
from tokensvc.core.revocation import Revocation, RevocationKind
from tokensvc.errors import Reason, TokenRefused, TokensvcError, Unavailable
from tokensvc.verify import (
    ClientCertificate,
    HolderFloor,
    KeySet,
    KeySource,
    LifetimeOnly,
    RevocationList,
    ScopeGrammar,
    StaticKeys,
    UncheckedStep,
    verify_token,
)
from tokensvc.verify.cached import CachedVerifier
from tokensvc.verify.revocations import UnsafeRevocationElsewhere

CHAIN: Final = SIM.chain("planner", "mailer")
PLAIN: Final = SIM.token(SIM.claims(CHAIN))
BOUND: Final = Draft.of().token()
THIEF: Final = Simulator(key=ec_key("thief"))
OTHER: Final = ec_key("another")
FRESH: Final = RevocationList((), as_of=NOW, max_staleness_s=60)
TERMS: Final[Members] = {"keys": KEYS, "expect": SIGNED, "now": NOW, "revocations": FRESH, "proof": PROVEN}


@dataclass(slots=True)
class CountedKeys:
    """The keys of everybody, and how often they were asked for."""

    asked: int = 0

    def find(self, iss: str, kid: str) -> PublicKey | None:
        self.asked += 1
        return KEYS.find(iss, kid)


class SilentKeys:
    """A key source that cannot answer for one issuer."""

    def __init__(self, silent: str) -> None:
        self.silent = silent

    def find(self, iss: str, kid: str) -> PublicKey | None:
        if iss == self.silent:
            raise Unavailable("the keys cannot be fetched")
        return KEYS.find(iss, kid)


class SilentView:
    """A view of revocations that cannot answer."""

    as_of = NOW
    max_staleness_s = 60

    def is_revoked(self, _revocables: object) -> bool:
        raise Unavailable("the revocations cannot be read")


def widened() -> str:
    chain = SIM.chain("planner", "mailer")
    chain[2]["scope"] = chain[1]["scope"]
    return SIM.token(SIM.claims(chain))


@cache
def tokens() -> list[Any]:
    hops_plain = Draft.of().plain(2, 3)
    return [
        PLAIN,
        SIM.token(SIM.claims(CHAIN, jti=jti("another"), aud=FILES)),
        SIM.token(SIM.claims(CHAIN, nbf=NOW + 100)),
        SIM.token(SIM.claims(CHAIN, exp=NOW + 100, iat=NOW - 50)),
        SIM.token(SIM.claims(SIM.chain("planner"), aud=ISSUER)),
        BOUND,
        Draft.of("planner").token(),
        hops_plain.token(),
        widened(),
        THIEF.token(SIM.claims(CHAIN), header=SIM.header()),
        PLAIN[:-2],
        PLAIN + "\ud800",
        "x",
        b"x",
    ]


def sources() -> list[KeySource]:
    issuer, authority = KeySet([SIM.key.public]), KeySet([AUTHORITY_KEY.public])
    imposter = KeySet([replace(OTHER.public, kid=SIM.key.kid)])
    again = parse_jwks(render_jwks(issuer))
    return [
        KEYS,
        StaticKeys({ISSUER: again, AUTHORITY: authority}),
        StaticKeys({ISSUER: imposter, AUTHORITY: authority}),
        StaticKeys({ISSUER: KeySet([OTHER.public]), AUTHORITY: authority}),
        StaticKeys({AUTHORITY: authority}),
        StaticKeys({ISSUER: issuer}),
        StaticKeys({ISSUER: issuer, AUTHORITY: KeySet([replace(OTHER.public, kid=AUTHORITY_KEY.kid)])}),
        SilentKeys(ISSUER),
        SilentKeys(AUTHORITY),
    ]


EXPECTATIONS: Final = [
    SIGNED,
    replace(SIGNED),
    FLOORS,
    replace(SIGNED, audiences=frozenset({FILES, ISSUER})),
    replace(SIGNED, authorities={}),
    replace(SIGNED, holder=HolderFloor.PROOF),
    replace(SIGNED, leeway_s=0),
    replace(SIGNED, max_depth=1),
    replace(SIGNED, max_token_bytes=len(PLAIN) - 1),
    replace(SIGNED, issuers=frozenset({"https://x"}), authorities={}),
    replace(SIGNED, order=Order(grammar=ScopeGrammar.SEGMENTS, attenuation=Attenuation.AUTHORITY, proper_from=2)),
    replace(SIGNED, agent_keys={(ISSUER, "planner"): frozenset({holder("planner").public.thumbprint})}),
    replace(SIGNED, agent_keys={(ISSUER, "mailer"): frozenset({OTHER.public.thumbprint})}),
]


def views() -> list[Any]:
    named = [
        (RevocationKind.ENTRY, CHAIN[0]["jti"]),
        (RevocationKind.ENTRY, CHAIN[1]["jti"]),
        (RevocationKind.USER, USER),
        (RevocationKind.ACTOR, "mailer"),
        (RevocationKind.ACTOR, CHAIN[0]["jti"]),
        (RevocationKind.KEY, holder("planner").public.thumbprint),
    ]
    lists = [(Revocation(kind=kind, id=subject, not_before=None, until=None),) for kind, subject in named]
    return [
        FRESH,
        LifetimeOnly(max_s=900),
        LifetimeOnly(max_s=200),
        UnsafeRevocationElsewhere(),
        SilentView(),
        *[RevocationList(revocations, as_of=NOW, max_staleness_s=10**9) for revocations in lists],
        RevocationList((), as_of=NOW - 100, max_staleness_s=60),
    ]


@cache
def proofs() -> list[Any]:
    leaf = holder("printer")
    return [
        PROVEN,
        judge(proof(BOUND, key=leaf)),
        judge(proof(BOUND, key=leaf, jti="the next")),
        judge(proof(PLAIN, key=leaf)),
        judge(proof(key=leaf)),
        judge(proof(BOUND, key=OTHER)),
        ClientCertificate.of(b"a certificate"),
        ClientCertificate(thumbprint=leaf.public.thumbprint),
        None,
        "a proof",
    ]


CALLS: Final = st.fixed_dictionaries(
    {
        # Most steps change one thing, or nothing.
        "token": st.sampled_from(range(len(tokens()))),
        "keys": st.just(0) | st.sampled_from(range(len(sources()))),
        "expect": st.just(0) | st.sampled_from(range(len(EXPECTATIONS))),
        "now": st.just(NOW) | st.sampled_from([NOW + offset for offset in (-100, 70, 100, 130, 329, 330, 10**6)]),
        "revocations": st.just(0) | st.sampled_from(range(len(views()))),
        "proof": st.just(0) | st.sampled_from(range(len(proofs()))),
    }
)


def outcome(verify: Callable[..., object], token: object, **terms: object) -> object:
    try:
        return verify(token, **terms)
    except (TokensvcError, TypeError) as exc:
        return type(exc), getattr(exc, "reason", None), str(exc)


@settings(max_examples=400)
@given(st.lists(CALLS, min_size=2, max_size=12), st.integers(1, 6 * len(BOUND)))
def test_whatever_changes_between_two_calls_a_cached_verification_says_what_a_cold_one_says(
    calls: list[Members], max_bytes: int
) -> None:
    cached, key_sources, revocations = CachedVerifier(max_bytes=max_bytes), sources(), views()
    for call in calls:
        token = tokens()[call["token"]]
        terms = {
            "keys": key_sources[call["keys"]],
            "expect": EXPECTATIONS[call["expect"]],
            "now": call["now"],
            "revocations": revocations[call["revocations"]],
            "proof": proofs()[call["proof"]],
        }

        assert outcome(cached.verify_token, token, **terms) == outcome(verify_token, token, **terms)
        assert len(cached) <= max_bytes / min(map(len, tokens()[:7]))


CHANGES: Final[list[tuple[Members, object]]] = [
    ({"keys": sources()[2]}, Reason.BAD_SIGNATURE),
    ({"keys": sources()[3]}, Reason.UNKNOWN_KEY),
    ({"keys": sources()[4]}, Reason.UNKNOWN_KEY),
    ({"keys": sources()[5]}, Reason.ROOT_INVALID),
    ({"keys": sources()[6]}, Reason.ROOT_INVALID),
    ({"expect": replace(SIGNED, audiences=frozenset({FILES}))}, Reason.WRONG_AUDIENCE),
    ({"expect": replace(SIGNED, max_token_bytes=100)}, Reason.TOO_LARGE),
    ({"expect": replace(SIGNED, max_depth=2)}, Reason.DEPTH_EXCEEDED),
    ({"expect": replace(SIGNED, authorities={})}, Reason.ROOT_INVALID),
    ({"now": NOW + 10**6}, Reason.EXPIRED),
    ({"now": NOW - 10**6}, Reason.NOT_YET_VALID),
    ({"proof": None}, Reason.HOLDER_UNPROVEN),
    *[({"proof": wrong}, Reason.HOLDER_UNPROVEN) for wrong in proofs()[3:8]],
    ({"expect": replace(SIGNED, holder=HolderFloor.PROOF), "proof": None}, Reason.HOLDER_UNPROVEN),
    ({"revocations": LifetimeOnly(max_s=10)}, Reason.LIFETIME_EXCEEDED),
    ({"revocations": views()[5]}, Reason.REVOKED),
    ({"revocations": views()[-1]}, Reason.REVOCATION_STALE),
]


@pytest.mark.parametrize(("change", "reason"), CHANGES)
def test_a_token_seen_before_is_refused_as_soon_as_a_cold_verification_refuses_it(
    change: Members, reason: Reason
) -> None:
    cached = CachedVerifier()
    first = cached.verify_token(BOUND, **TERMS)

    with pytest.raises(TokenRefused) as refused:
        cached.verify_token(BOUND, **{**TERMS, **change})
    assert refused.value.reason is reason
    assert cached.verify_token(BOUND, **TERMS) == first


def test_a_token_seen_before_is_taken_with_each_new_proof_of_its_key_and_not_read_again() -> None:
    keys, cached = CountedKeys(), CachedVerifier()
    terms = {**TERMS, "keys": keys, "expect": replace(SIGNED, holder=HolderFloor.PROOF)}
    first, second = proofs()[1:3]
    verified = cached.verify_token(BOUND, **{**terms, "proof": first})

    assert verified.not_performed == frozenset()
    assert cached.verify_token(BOUND, **{**terms, "proof": second}) is verified
    assert keys.asked == 4
    upstream = cached.verify_token(BOUND, **terms)
    assert upstream.not_performed == {UncheckedStep.HOLDER}
    with pytest.raises(TokenRefused):
        cached.verify_token(BOUND, **{**terms, "proof": None})


def test_a_token_seen_before_is_not_read_again_and_one_with_a_byte_changed_is() -> None:
    keys, cached = CountedKeys(), CachedVerifier()
    terms = {**TERMS, "keys": keys}
    first = cached.verify_token(PLAIN, **terms)

    assert cached.verify_token("".join(list(PLAIN)), **terms) is first
    assert cached.verify_token(PLAIN, **{**terms, "expect": replace(SIGNED)}) is first
    assert keys.asked == 3
    changed = PLAIN[:-10] + ("A" if PLAIN[-10] != "A" else "B") + PLAIN[-9:]
    with pytest.raises(TokenRefused) as refused:
        cached.verify_token(changed, **terms)
    assert refused.value.reason is Reason.BAD_SIGNATURE
    assert (keys.asked, len(cached)) == (4, 1)


def test_a_key_imported_anew_is_a_new_key_and_the_token_is_verified_with_it() -> None:
    cached, (known, imported, *_) = CachedVerifier(), sources()
    first = cached.verify_token(PLAIN, **TERMS)

    again = cached.verify_token(PLAIN, **{**TERMS, "keys": imported})
    assert again == first
    assert again is not first
    assert cached.verify_token(PLAIN, **{**TERMS, "keys": imported}) is again
    assert cached.verify_token(PLAIN, **{**TERMS, "keys": known}) is not again


def test_what_was_not_checked_is_said_for_each_call_anew() -> None:
    cached = CachedVerifier()
    checked = cached.verify_token(PLAIN, **TERMS)
    unchecked = cached.verify_token(PLAIN, **{**TERMS, "revocations": LifetimeOnly(max_s=900)})

    assert checked.not_performed == frozenset()
    assert unchecked.not_performed == frozenset({UncheckedStep.REVOCATION})
    assert replace(unchecked, not_performed=frozenset()) == checked


def test_no_more_than_the_last_tokens_are_remembered_and_none_that_was_refused() -> None:
    one, two, three = (SIM.token(SIM.claims(CHAIN, jti=jti(name))) for name in ("one", "two", "three"))
    cached, keys = CachedVerifier(max_bytes=3 * len(one) - 1), CountedKeys()
    terms = {**TERMS, "keys": keys}
    first = cached.verify_token(one, **terms)
    cached.verify_token(two, **terms)
    for refused in (widened(), PLAIN[:-2], THIEF.token(SIM.claims(CHAIN), header=SIM.header())):
        with pytest.raises(TokenRefused):
            cached.verify_token(refused, **terms)

    assert cached.verify_token(one, **terms) is first
    third = cached.verify_token(three, **terms)
    assert len(cached) == 2
    assert cached.verify_token(three, **terms) is third
    assert cached.verify_token(one, **terms) is first
    second = cached.verify_token(two, **terms)
    assert cached.verify_token(two, **terms) is second
    assert cached.verify_token(one, **terms) is first


def test_a_refusal_by_what_changed_forgets_nothing() -> None:
    cached = CachedVerifier()
    first = cached.verify_token(BOUND, **TERMS)

    with pytest.raises(TokenRefused):
        cached.verify_token(BOUND, **{**TERMS, "proof": None})
    assert cached.verify_token(BOUND, **TERMS) is first


def test_a_token_larger_than_the_whole_room_is_accepted_and_not_remembered() -> None:
    cached = CachedVerifier(max_bytes=len(PLAIN) - 1)

    assert cached.verify_token(PLAIN, **TERMS) == cached.verify_token(PLAIN, **TERMS)
    assert len(cached) == 0
    exact = CachedVerifier(max_bytes=len(PLAIN))
    assert exact.verify_token(PLAIN, **TERMS) is exact.verify_token(PLAIN, **TERMS)
    assert len(exact) == 1


def test_a_token_seen_before_passes_on_no_terms_that_would_switch_a_check_off() -> None:
    cached = CachedVerifier()
    first = cached.verify_token(BOUND, **TERMS)

    for change in ({"proof": "a proof"}, {"now": float(NOW)}, {"now": float("nan")}):
        with pytest.raises(TypeError):
            cached.verify_token(BOUND, **{**TERMS, **change})
    text: Any = BOUND.encode()
    with pytest.raises(TokenRefused):
        cached.verify_token(text, **TERMS)
    assert cached.verify_token(BOUND, **TERMS) is first


def test_a_token_that_is_judged_again_from_the_beginning_takes_no_more_room() -> None:
    cached = CachedVerifier(max_bytes=2 * len(PLAIN))
    for _ in range(4):
        for keys in sources()[:2]:
            cached.verify_token(PLAIN, **{**TERMS, "keys": keys})
    other = SIM.token(SIM.claims(CHAIN, jti=jti("other")))

    first = cached.verify_token(PLAIN, **TERMS)
    cached.verify_token(other, **TERMS)
    assert len(cached) == 2
    assert cached.verify_token(PLAIN, **TERMS) is first


@pytest.mark.parametrize("max_bytes", [0, -1, True, 1.0, "1", None])
def test_a_cache_without_room_is_refused(max_bytes: Any) -> None:  # noqa: ANN401 - anything
    with pytest.raises(ValueError, match="max_bytes"):
        CachedVerifier(max_bytes=max_bytes)
    assert len(CachedVerifier(max_bytes=1)) == 0


def test_neither_the_token_nor_its_signature_lies_in_the_cache() -> None:
    cached = CachedVerifier()
    cached.verify_token(PLAIN, **TERMS)

    kept = repr(cached._known)  # noqa: SLF001 - where it would lie
    assert API in kept
    assert PLAIN.rsplit(".", 1)[1] not in kept
    assert PLAIN not in repr(cached)


def test_what_is_expected_cannot_be_changed_in_place() -> None:
    """Or a token would be accepted by terms that are not there any more."""
    pins = {(ISSUER, "planner"): frozenset({"A" * 43})}
    expect = replace(SIM.expect(), agent_keys=pins)
    with pytest.raises(TypeError):
        expect.agent_keys[ISSUER, "mailer"] = frozenset({"A" * 43})  # type: ignore[index] # that is the point
    with pytest.raises(TypeError):
        del expect.authorities[ISSUER, "x"]  # type: ignore[attr-defined] # that is the point
    pins.clear()

    assert expect.agent_keys == {(ISSUER, "planner"): frozenset({"A" * 43})}
    assert expect == replace(expect)
