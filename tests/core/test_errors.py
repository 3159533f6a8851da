import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.errors import (
    AccessDenied,
    ConfigurationError,
    KeyRefused,
    Malformed,
    OAuthError,
    OAuthRefused,
    Reason,
    TokenRefused,
    TokensvcError,
    Unavailable,
    printable,
)


@pytest.mark.requirement("OAUTH-ERROR-CHARS")
@given(st.text())
def test_a_description_holds_only_what_an_error_description_may_hold(text: str) -> None:
    shown = TokensvcError(text).description

    assert all(" " <= character <= "~" and character not in '"\\' for character in shown)
    assert len(shown) <= 303


@pytest.mark.parametrize("hostile", ["\r\nSet-Cookie: a=b", "\x1b[2J", '"\\', "é\u202e\ud800", "\x00"])
def test_hostile_characters_are_shown_as_question_marks(hostile: str) -> None:
    assert printable(hostile) == "".join("?" if not " " <= c <= "~" or c in '"\\' else c for c in hostile)


def test_a_text_is_cut_only_when_it_is_longer_than_allowed() -> None:
    assert printable("x" * 300) == "x" * 300
    assert printable("x" * 301) == "x" * 300 + "..."
    assert printable("abc", max_length=2) == "ab..."


@pytest.mark.parametrize("kind", [TokenRefused, AccessDenied])
def test_a_refusal_shows_reason_and_description_but_never_its_detail(
    kind: type[TokenRefused] | type[AccessDenied],
) -> None:
    refused = kind(Reason.EXPIRED, "the token\nhas expired", detail="kid\nabc")

    assert (refused.reason, refused.detail) == (Reason.EXPIRED, "kid?abc")
    assert str(refused) == "expired: the token?has expired"
    assert "abc" not in repr(refused)


def test_an_oauth_refusal_shows_its_codes_and_never_its_detail() -> None:
    refused = OAuthRefused(OAuthError.INVALID_TARGET, Reason.TARGET_NOT_ALLOWED, "not here", detail="secret\nplan")

    assert (refused.error, refused.reason, refused.detail) == ("invalid_target", "target_not_allowed", "secret?plan")
    assert str(refused) == "invalid_target (target_not_allowed): not here"
    assert "secret" not in repr(refused)
    assert OAuthRefused(OAuthError.INVALID_CLIENT, None, "no").reason is None


def test_an_oauth_refusal_may_name_its_record_and_is_the_same_otherwise() -> None:
    refused = OAuthRefused(OAuthError.INVALID_SCOPE, Reason.SCOPE_MISSING, "no scope", detail="asked for none")

    named = refused.recorded_as("record-1")

    assert (refused.record, named.record) == (None, "record-1")
    assert (named.error, named.reason, named.description) == (refused.error, refused.reason, refused.description)
    assert named.detail == refused.detail


def test_malformed_says_whether_a_size_was_the_fault() -> None:
    assert Malformed("x").reason is Reason.MALFORMED
    assert Malformed("x", reason=Reason.TOO_LARGE).reason is Reason.TOO_LARGE


def test_a_configuration_error_says_where_what_and_how_to_mend_it() -> None:
    error = ConfigurationError("no such file", file="tokensvc.toml", key="keys", remedy="Name an existing folder.")

    assert str(error) == "tokensvc.toml: keys: no such file. Name an existing folder."
    assert str(ConfigurationError("empty", file="a.toml", key="", remedy="Fill it.")) == "a.toml: empty. Fill it."
    assert (error.file, error.key, error.remedy) == ("tokensvc.toml", "keys", "Name an existing folder.")


@pytest.mark.parametrize("kind", [KeyRefused, Unavailable, Malformed])
def test_every_error_is_ours(kind: type[TokensvcError]) -> None:
    assert issubclass(kind, TokensvcError)
    assert str(kind("what")) == "what"


def test_no_two_reasons_have_one_code() -> None:
    assert len(set(Reason)) == len(Reason.__members__)
    assert all(code == code.lower() and code.isascii() for code in Reason)
