import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.jws import decode_base64url, encode_base64url
from tokensvc.errors import Malformed

ALPHABET = (string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_").encode()


@pytest.mark.requirement("JWS-BASE64URL")
@given(st.binary(min_size=1, max_size=100))
def test_what_was_encoded_is_decoded(data: bytes) -> None:
    text = encode_base64url(data)

    assert text == base64.urlsafe_b64encode(data).rstrip(b"=")
    assert decode_base64url(text) == data


@given(st.binary(max_size=60) | st.lists(st.sampled_from(ALPHABET), max_size=60).map(bytes))
def test_exactly_one_text_is_accepted_for_each_sequence_of_bytes(text: bytes) -> None:
    try:
        data = decode_base64url(text)
    except Malformed:
        return
    assert encode_base64url(data) == text


@pytest.mark.parametrize("length", [2, 3])
def test_of_all_last_letters_only_those_without_unused_bits_are_accepted(length: int) -> None:
    accepted = 0
    for letter in ALPHABET:
        text = b"A" * (length - 1) + bytes([letter])
        try:
            decode_base64url(text)
        except Malformed:
            continue
        accepted += 1
    assert accepted == {2: 4, 3: 16}[length]


@pytest.mark.parametrize("text", [b"", b"A", b"AAAAA", b"AB", b"AAB", b"AAAAAB"])
def test_text_of_an_impossible_length_or_with_unused_bits_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        decode_base64url(text)
    assert decode_base64url(b"AAAAAA") == bytes(4)


@pytest.mark.requirement("JWS-NO-PADDING")
@pytest.mark.parametrize(
    "foreign", [b"=", b"==", b"+", b"/", b" ", b"\n", b"\r\n", b"\x00", b"\xff", b".", b"%", b"\t"]
)
@pytest.mark.parametrize("place", [0, 2, 4, 6])
def test_padding_whitespace_and_foreign_letters_are_refused_everywhere(foreign: bytes, place: int) -> None:
    text = b"AAAAAAAA"
    decode_base64url(text)

    with pytest.raises(Malformed):
        decode_base64url(text[:place] + foreign + text[place:])
    with pytest.raises(Malformed):
        decode_base64url((text[:place] + foreign + text[place:])[:8])


def test_the_letters_of_standard_base64_are_not_those_of_base64url() -> None:
    assert decode_base64url(b"-_-_") == base64.b64decode(b"+/+/")
    with pytest.raises(Malformed):
        decode_base64url(b"+/+/")
