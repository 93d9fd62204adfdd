"""Chinese pages have the headings, code and tables of the English ones, and both link to each other."""

import re
from pathlib import Path

import pytest

from tests.docs.page import ROOT, code_blocks, headings, text_of

PAGES = ["README.md", "docs/operations.md"]


def chinese(page: str) -> str:
    return page.replace(".md", ".zh-CN.md")


@pytest.mark.parametrize("page", PAGES)
def test_headings_are_of_the_same_number_and_levels(page):
    assert headings(text_of(chinese(page))) == headings(text_of(page))


@pytest.mark.parametrize("page", PAGES)
def test_code_is_the_same(page):
    assert code_blocks(text_of(chinese(page))) == code_blocks(text_of(page))


@pytest.mark.parametrize("page", PAGES)
def test_tables_name_the_same_code(page):
    """Code of the first column, row by row: a new setting, metric or symptom needs its row in both languages."""

    def first_column(text: str) -> list[list[str]]:
        return [re.findall(r"`[^`]+`", row) for row in re.findall(r"^\| (.*?) \|", text, re.MULTILINE)]

    assert first_column(text_of(chinese(page))) == first_column(text_of(page))


@pytest.mark.parametrize("page", PAGES)
def test_pages_link_to_each_other(page):
    assert f"]({Path(chinese(page)).name})" in text_of(page)
    assert f"]({Path(page).name})" in text_of(chinese(page))


@pytest.mark.parametrize("page", [*PAGES, *map(chinese, PAGES)])
def test_linked_files_exist(page):
    folder = (ROOT / page).parent
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(page))
    assert links
    assert [link for link in links if not (folder / link).exists()] == []
