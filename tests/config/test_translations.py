"""The catalogue of 简体中文 is whole, and what is compiled is what was written. Neither needs gettext installed."""

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


def test_nothing_is_left_untranslated(written):
    assert [original for original, translation in written.items() if not translation] == []
    assert len(written) > 100


def test_nothing_is_marked_as_a_guess():
    assert ", fuzzy" not in (FOLDER / "django.po").read_text()


def test_placeholders_are_kept(written):
    for original, translation in written.items():
        assert sorted(PLACEHOLDER.findall(original)) == sorted(PLACEHOLDER.findall(translation))


def test_the_compiled_catalogue_is_up_to_date(written):
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    assert {original: compiled.gettext(original) for original in written if original} == {
        original: translation for original, translation in written.items() if original
    }


def test_the_console_speaks_chinese_to_those_who_ask(admin_client):
    page = admin_client.get("/admin/", headers={"Accept-Language": "zh-CN,zh"}).content.decode()
    assert "业务来源" in page
    assert "执行器" in page


def test_the_themes_own_words_are_translated():
    """Its contrib packages are not installed here."""
    pages = [path.read_text() for path in THEME.rglob("*.html") if "contrib" not in path.parts]
    words = {word for page in pages for _quote, word in MARKED.findall(templatize(page))}
    assert len(words) > 50
    with override("zh-hans"):
        once = {word for word in words if not word.startswith("\\n")}  # the others have a plural
        assert [word for word in once if translated(word) == word] == []
        assert (
            theme_translations.FOUND % {"counter": 3, "time": "0.1"}
        ).strip() == "找到 3 个结果，用时 0.1 秒"
