"""The Simplified Chinese catalog is complete and compiled. These tests do not need gettext."""

import ast
import gettext
import re
from pathlib import Path

import pytest
import unfold
from django.conf import settings
from django.utils.translation import gettext as translated
from django.utils.translation import override
from django.utils.translation.template import templatize

from console.admin_base import theme_translations

FOLDER = Path(settings.LOCALE_PATHS[0]) / "zh_Hans" / "LC_MESSAGES"
THEME = Path(unfold.__file__).parent
MARKED = re.compile(r"""gettext\(\s*u?(['"])((?:\\.|(?!\1).)*)\1""", re.DOTALL)
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sd]")


def text(quoted: str) -> str:
    return "".join(ast.literal_eval(line) for line in quoted.split("\n") if line)


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    source = (FOLDER / "django.po").read_text()
    entries = re.findall(r'^msgid ((?:".*"\n)+)msgstr ((?:".*"\n?)+)', source, re.MULTILINE)
    return {text(original): text(translation) for original, translation in entries}


def test_all_strings_are_translated(written):
    assert [original for original, translation in written.items() if not translation] == []
    assert len(written) > 100


def test_no_translation_is_fuzzy():
    assert ", fuzzy" not in (FOLDER / "django.po").read_text()


def test_placeholders_are_kept(written):
    for original, translation in written.items():
        assert sorted(PLACEHOLDER.findall(original)) == sorted(PLACEHOLDER.findall(translation))


def test_compiled_catalog_is_up_to_date(written):
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    assert {original: compiled.gettext(original) for original in written if original} == {
        original: translation for original, translation in written.items() if original
    }


def test_console_is_translated_by_accept_language(admin_client):
    page = admin_client.get("/admin/", headers={"Accept-Language": "zh-CN,zh"}).content.decode()
    assert "业务来源" in page
    assert "执行器" in page


def test_strings_of_the_theme_are_translated():
    # The contrib packages of the theme are not used.
    pages = [path.read_text() for path in THEME.rglob("*.html") if "contrib" not in path.parts]
    strings = {string for page in pages for _quote, string in MARKED.findall(templatize(page))}
    assert len(strings) > 50
    with override("zh-hans"):
        singular = {string for string in strings if not string.startswith("\\n")}  # the others have a plural
        assert [string for string in singular if translated(string) == string] == []
        assert (
            theme_translations.RESULTS_FOUND % {"counter": 3, "time": "0.1"}
        ).strip() == "找到 3 个结果，用时 0.1 秒"
