"""Every documented field has a test, which docs/fields.md lists."""

from __future__ import annotations

import pytest

from .support import field_table


@pytest.mark.parametrize("table", field_table.listed())
def test_every_documented_field_has_a_test(table: str) -> None:
    shown = field_table.shown()
    assert [name for name in field_table.listed()[table] if not shown[table, name]] == []


def test_tests_name_only_documented_fields() -> None:
    tables = field_table.listed()
    assert [key for key in field_table.shown() if key[1] not in tables.get(key[0], [])] == []


def test_page_is_up_to_date() -> None:
    assert field_table.PAGE.read_text() == field_table.page(), "run `python -m tests.support.field_table`"
