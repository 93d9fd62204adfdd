"""Coercions compared with pydantic v1, which A1111 uses."""

import sys
from typing import Any

import pytest

from dialects.a1111.errors import Invalid, InvalidItems
from dialects.a1111.schema.coercion import array, boolean, integer, mapping, not_null, number, string, strings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info >= (3, 14), reason="pydantic.v1 ends with Python 3.13"),
]

COERCIONS = {
    int: integer,
    float: number,
    str: string,
    bool: boolean,
    list: array,
    dict: mapping,
    list[str]: strings,
}
VALUES: list[Any] = [
    *(20, 20.0, 512.7, -3, True, False, 0, 1, 2, 1.0, 0.5, "5", " 5 ", "20.5", "7", "", "x", "1e3"),
    *("TRUE", "Yes", "off", "N", "t", "maybe", [], {}, ["a"], ["a", None, 5, []], {"a": 1}, [["a", 1]], None),
]


def coerced(kind: Any, value: Any) -> Any:
    try:
        return COERCIONS[kind](not_null(value))
    except Invalid as error:
        return [error.at(("field",))]
    except InvalidItems as error:
        return error.at(("field",))


def coerced_by_pydantic(kind: Any, value: Any) -> Any:
    from pydantic.v1 import ValidationError, create_model

    try:
        return create_model("Model", field=(kind, ...))(field=value).field
    except ValidationError as error:
        return [{**entry, "loc": list(entry["loc"])} for entry in error.errors()]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("kind", COERCIONS, ids=str)
def test_values_are_coerced_as_by_pydantic_v1(kind, value) -> None:
    assert repr(coerced(kind, value)) == repr(coerced_by_pydantic(kind, value))


@pytest.mark.parametrize("value", ["nan", "inf", float("inf"), 10**400])
def test_non_finite_float_is_rejected(value) -> None:
    with pytest.raises(Invalid, match="value is not a valid float"):
        number(value)
