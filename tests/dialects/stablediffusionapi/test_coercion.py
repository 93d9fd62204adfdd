"""Coercion: any value is parsed or refused, and never raises another error."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.stablediffusionapi import coercion
from dialects.stablediffusionapi.coercion import Invalid
from dialects.stablediffusionapi.endpoints import ENDPOINTS
from dialects.stablediffusionapi.errors import WireError
from dialects.stablediffusionapi.request.fields import FIELDS, parse

pytestmark = pytest.mark.slow

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.integers(-(10**12), 10**12))
def test_integer_equals_its_string(value):
    assert (
        coercion.integer(value) == coercion.integer(f" {value} ") == coercion.integer(f"{value}.0") == value
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_equals_its_string(value):
    assert coercion.number(value) == coercion.number(repr(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_numbers_are_refused(value):
    for notation in (value, str(value)):
        with pytest.raises(Invalid):
            coercion.number(notation)


@pytest.mark.parametrize("value", ["1_000", "9" * 41, True, "", "0x10", "١٢x"])
def test_other_notations_are_no_integers(value):
    with pytest.raises(Invalid):
        coercion.integer(value)


@pytest.mark.parametrize("value", [True, "yes", "YES", " Yes ", "true", "True", "1", 1, 1.0])
def test_true_values(value):
    assert coercion.flag(value) is True


@pytest.mark.parametrize("value", [False, "no", "NO", "false", "0", 0, 0.0])
def test_false_values(value):
    assert coercion.flag(value) is False


@given(JSON)
def test_any_other_value_is_no_flag(value):
    try:
        coercion.flag(value)
    except Invalid:
        return
    assert str(value).strip().lower().removesuffix(".0") in coercion.TRUE | coercion.FALSE


@pytest.mark.parametrize(
    ("given", "parsed"),
    [("a,b", ["a", "b"]), ("a, b ,", ["a", "b"]), (["a", "b"], ["a", "b"]), ("a", ["a"]), (7, ["7"])],
)
def test_list_may_be_a_string_with_commas(given, parsed):
    assert coercion.names(given) == parsed


@pytest.mark.parametrize(
    ("given", "parsed"), [("0.45,0.55", [0.45, 0.55]), (0.5, [0.5]), (["1", 0.2], [1.0, 0.2]), ("1", [1.0])]
)
def test_list_of_numbers_may_be_a_string_with_commas(given, parsed):
    assert coercion.numbers(given) == parsed


@pytest.mark.parametrize("absent", [None, "", "  ", "null", "None"])
@pytest.mark.parametrize(
    "name", sorted(FIELDS.keys() - {"prompt", "negative_prompt", "algorithm_type", "track_id", "model_id"})
)
def test_null_and_its_strings_are_absent(name, absent):
    assert parse(ENDPOINTS["v3/text2img"], {"prompt": "x", name: absent})[name] is None


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), JSON))
def test_any_request_is_parsed_or_refused_with_its_fields(given):
    messages = messages_of(given)
    assert messages.keys() <= FIELDS.keys()
    assert all(isinstance(message, str) for texts in messages.values() for message in texts)


def messages_of(given):
    try:
        parse(ENDPOINTS["v3/text2img"], given)
    except WireError as error:
        return error.message
    return {}


@pytest.mark.parametrize("value", [2**64 - 1, str(2**64 - 1), f" {2**64 - 1} ", "9007199254740993"])
def test_integers_beyond_53_bits_are_exact(value):
    assert coercion.integer(value) == int(value)
