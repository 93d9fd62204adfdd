"""Parsing of JSON bodies, which all dialects share."""

import pytest

from dialects.http import MAX_LEVELS, InvalidJSON, NotAnObject, UnstorableText, parse_json, parse_object


def test_object_is_parsed_with_and_without_a_byte_order_mark():
    assert parse_object(b'{"a": [1, 2.5, null, true]}') == {"a": [1, 2.5, None, True]}
    assert parse_object(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e400}', b"[" * 100_000, b"9" * 5000],
    ids=lambda data: repr(data[:16]),
)
def test_text_that_is_not_strict_json_is_refused(data):
    with pytest.raises(InvalidJSON):
        parse_json(data)


def test_nesting_is_limited():
    def nested(levels: int) -> str:
        return "[" * levels + "]" * levels

    assert parse_json(nested(MAX_LEVELS))
    with pytest.raises(InvalidJSON):
        parse_json(nested(MAX_LEVELS + 1))


@pytest.mark.parametrize("data", ["[]", "null", "1", '"text"'])
def test_other_values_than_objects_are_refused(data):
    with pytest.raises(NotAnObject):
        parse_object(data)


@pytest.mark.parametrize(
    ("data", "location"),
    [
        (r'{"a": {"b": [1, "x\u0000"]}}', ("a", "b", 1)),
        (r'{"a": "\ud800"}', ("a",)),
        (r'{"a": {"\u0000": 1}}', ("a",)),
    ],
)
def test_text_that_cannot_be_stored_is_located(data, location):
    with pytest.raises(UnstorableText) as caught:
        parse_object(data)
    assert caught.value.location == location


def test_surrogate_pair_is_a_character():
    assert parse_object(r'{"a": "\ud83d\ude00"}') == {"a": "\N{GRINNING FACE}"}
