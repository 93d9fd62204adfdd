"""Whatever a client writes is read or refused; nothing is guessed, and nothing breaks."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.stablediffusionapi import coercion
from dialects.stablediffusionapi.coercion import Invalid
from dialects.stablediffusionapi.endpoints import ENDPOINTS
from dialects.stablediffusionapi.errors import WireError
from dialects.stablediffusionapi.request.fields import FIELDS, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.integers(-(10**12), 10**12))
def test_an_integer_is_the_same_as_its_text(value):
    assert (
        coercion.integer(value) == coercion.integer(f" {value} ") == coercion.integer(f"{value}.0") == value
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_same_as_its_text(value):
    assert coercion.number(value) == coercion.number(repr(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_no_number(value):
    for written in (value, str(value)):
        with pytest.raises(Invalid):
            coercion.number(written)


@pytest.mark.parametrize("value", ["1_000", "9" * 41, True, "", "0x10", "١٢x"])
def test_what_only_python_reads_is_no_integer(value):
    with pytest.raises(Invalid):
        coercion.integer(value)


@pytest.mark.parametrize("value", [True, "yes", "YES", " Yes ", "true", "True", "1", 1, 1.0])
def test_yes(value):
    assert coercion.flag(value) is True


@pytest.mark.parametrize("value", [False, "no", "NO", "false", "0", 0, 0.0])
def test_no(value):
    assert coercion.flag(value) is False


@given(JSON)
def test_a_flag_is_one_of_few_words(value):
    try:
        coercion.flag(value)
    except Invalid:
        return
    assert str(value).strip().lower().removesuffix(".0") in coercion.TRUE | coercion.FALSE


@pytest.mark.parametrize(
    ("given", "read"),
    [("a,b", ["a", "b"]), ("a, b ,", ["a", "b"]), (["a", "b"], ["a", "b"]), ("a", ["a"]), (7, ["7"])],
)
def test_lists_are_lists_or_texts_with_commas(given, read):
    assert coercion.names(given) == read


@pytest.mark.parametrize(
    ("given", "read"), [("0.45,0.55", [0.45, 0.55]), (0.5, [0.5]), (["1", 0.2], [1.0, 0.2]), ("1", [1.0])]
)
def test_lists_of_numbers(given, read):
    assert coercion.numbers(given) == read


@pytest.mark.parametrize("nothing", [None, "", "  ", "null", "None"])
@pytest.mark.parametrize(
    "name", sorted(FIELDS.keys() - {"prompt", "negative_prompt", "algorithm_type", "track_id", "model_id"})
)
def test_nothing_is_absent(name, nothing):
    assert parse(ENDPOINTS["v3/text2img"], {"prompt": "x", name: nothing})[name] is None


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), JSON))
def test_any_request_is_read_or_refused_field_by_field(given):
    found = complaints(given)
    assert found.keys() <= FIELDS.keys()
    assert all(isinstance(words, str) for several in found.values() for words in several)


def complaints(given):
    try:
        parse(ENDPOINTS["v3/text2img"], given)
    except WireError as error:
        return error.message
    return {}
