"""An entry that others signed is judged alike the first time and again, whether it is short enough to be remembered."""

import pytest

from tests.simulator import NOW, jti
from tests.verify.signed import KEYS, PROVEN, SIM, Draft
from tokensvc.errors import Reason, TokenRefused
from tokensvc.verify import LifetimeOnly, VerifiedToken, verify_token


def draft_of(length: int) -> Draft:
    """Every entry carries one more scope of that length, to the leaf."""
    draft = Draft.of()
    for entry, part in zip(draft.chain, draft.parts, strict=True):
        entry["scope"] = part.payload["scope"] = part.payload["scope"] + " " + "x" * length
    draft.claims["scope"] = draft.chain[-1]["scope"]
    return draft


def verified(token: str, draft: Draft) -> VerifiedToken:
    return verify_token(
        token, keys=KEYS, expect=draft.expect, now=NOW, revocations=LifetimeOnly(max_s=900), proof=PROVEN
    )


@pytest.mark.parametrize("length", [10, 1100])
def test_signed_entries_come_back_in_many_tokens_and_are_read_alike(length: int) -> None:
    draft = draft_of(length)
    chain = [part.entry for part in draft.parts]
    first, second = (
        SIM.token({**draft.claims, "jti": jti(name), "grant_chain": chain}) for name in ("first", "second")
    )
    assert [len(chain[index]["jws"]) > 2048 for index in (0, 2, 3)] == [length == 1100] * 3

    assert verified(first, draft).chain == verified(second, draft).chain
    assert verified(second, draft).chain.leaf.authority.scope >= {"x" * length}


@pytest.mark.parametrize("index", [0, 2, 3])
@pytest.mark.parametrize("length", [10, 1100])
def test_an_entry_seen_before_does_not_vouch_for_one_with_another_signature_or_place(length: int, index: int) -> None:
    draft = draft_of(length)
    chain = [part.entry for part in draft.parts]
    verified(SIM.token({**draft.claims, "grant_chain": chain}), draft)
    spoilt = list(chain)
    spoilt[index] = {"jws": chain[index]["jws"][:-86] + "A" * 86}
    elsewhere = Draft.of(root="another root")
    moved = [part.entry for part in elsewhere.parts]
    moved[index] = chain[index]

    for entries, claims in ((spoilt, draft.claims), (moved, elsewhere.claims)):
        with pytest.raises(TokenRefused) as refused:
            verified(SIM.token({**claims, "grant_chain": entries}), draft)
        assert refused.value.reason in {Reason.ROOT_INVALID, Reason.GRANT_INVALID, Reason.CHAIN_MISALIGNED}
