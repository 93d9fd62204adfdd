"""One word for one thing in the Chinese texts."""

import ast
import re
from pathlib import Path

import pytest
from django.conf import settings

CATALOG = Path(settings.LOCALE_PATHS[0]) / "zh_Hans" / "LC_MESSAGES" / "django.po"
TERMS = {
    "cost unit": "费用单位",
    "negative prompt": "反向提示词",
    "access key": "密钥",
    "quota": "配额",
    "runner": "执行器",
    "callback": "回调",
    "sampler": "采样器",
    "business source": "来源",
    "style preset": "风格",
    "workflow template": "工作流",
}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")
INSTEAD = ("计费单位", "计费额度", "负面提示词", "负向提示词", "调度来源")


def entries() -> list[tuple[str, str]]:
    found = re.findall(r'^msgid ((?:".*"\n)+)msgstr ((?:".*"\n?)+)', CATALOG.read_text(), re.MULTILINE)
    return [
        ("".join(map(ast.literal_eval, a.splitlines())), "".join(map(ast.literal_eval, b.splitlines())))
        for a, b in found
    ]


@pytest.mark.parametrize("term", sorted(TERMS))
def test_term_is_translated_by_one_word(term):
    wrong = [
        (original, translation)
        for original, translation in entries()
        if re.search(rf"\b{term}s?\b", PLACEHOLDER.sub("", original), re.IGNORECASE)
        and translation
        and TERMS[term] not in translation
    ]
    assert wrong == []


def test_no_second_word_is_used():
    texts = [translation for _original, translation in entries()]
    assert [text for text in texts if any(word in text for word in INSTEAD)] == []
