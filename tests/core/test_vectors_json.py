"""JSONTestSuite: what every JSON parser must refuse (n_), must accept (y_) or may do as it likes with (i_)."""

import json

from tests.shared_vectors import vector_folder
from tokensvc.core.jsontext import parse_json
from tokensvc.errors import Malformed

# Good JSON that readers understand in different ways, which a security decision cannot afford.
REFUSED_ON_PURPOSE = {
    "y_object_duplicated_key.json": "a member named twice",
    "y_object_duplicated_key_and_value.json": "a member named twice",
    "y_number.json": "an integer beyond 2^53 - 1",
    "y_number_real_capital_e.json": "an integer beyond 2^53 - 1",
    "y_number_real_exponent.json": "an integer beyond 2^53 - 1",
    "y_number_real_fraction_exponent.json": "an integer beyond 2^53 - 1",
    "y_object_extreme_numbers.json": "an integer beyond 2^53 - 1",
}


def judge(prefix: str) -> tuple[set[str], set[str]]:
    accepted, refused = set(), set()
    for file in sorted(vector_folder("jsontestsuite").glob(f"test_parsing/{prefix}_*.json")):
        text = file.read_bytes()
        try:
            value = parse_json(text)
        except Malformed:
            refused.add(file.name)
        else:
            assert value == json.loads(text)
            accepted.add(file.name)
    return accepted, refused


def test_every_text_that_is_not_json_is_refused_and_none_recurses() -> None:
    accepted, refused = judge("n")

    assert accepted == set()
    assert len(refused) == 188


def test_every_json_text_is_accepted_except_where_our_rules_say_why_not() -> None:
    accepted, refused = judge("y")

    assert refused == set(REFUSED_ON_PURPOSE)
    assert len(accepted) + len(refused) == 95


def test_what_the_suite_leaves_open_is_refused() -> None:
    accepted, refused = judge("i")

    assert accepted == set()
    assert len(refused) == 35
