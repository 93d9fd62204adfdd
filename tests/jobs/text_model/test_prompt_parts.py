"""The syntax of A1111 survives what a model makes of the words."""

import pytest

from jobs.text_model.prompt_parts import as_words, joined, parts_of, with_details, words_of

PROMPTS = [
    "",
    "一只猫",
    "(一只猫:1.2), [红色], <lora:猫:0.8>",
    "猫 BREAK 狗 AND 鸟 :0.5",
    "[猫:狗:0.5] [a|b] {x|y} __动物/颜色__",
    r"\(猫\) \\ \ ((())",
    "a: b, 猫：狗\n(x",
]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_parts_together_are_the_prompt(prompt):
    assert joined(parts_of(prompt)) == prompt


@pytest.mark.parametrize("part", ["<a:", ":1", "1", " ", "_", "(", "\\", ":.", "<", "AND ", ": ", "猫"])
def test_long_prompts_are_read_in_linear_time(part):
    """Quadratic repetitions would take minutes."""
    for prompt in (part * 6000, ":" + part * 6000, "__" + part * 6000, f"a {part * 6000} AND b"):
        assert joined(parts_of(prompt)) == prompt
        assert with_details(prompt, "D")


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("(一只猫:1.2), [红色] <lora:猫:0.8>", ["一只猫", "红色"]),
        ("猫 BREAK 狗 AND 鸟 :0.5", ["猫", "狗", "鸟"]),
        ("[猫:狗:0.5] [红|蓝]", ["猫", "狗", "红", "蓝"]),
        ("__动物__, 猫", ["猫"]),
        ("EasyNegative, 丑", ["丑"]),
    ],
)
def test_only_words_are_texts_to_translate(prompt, texts):
    assert [part.content.strip() for part in parts_of(prompt) if part.has_foreign_letters] == texts


def test_embedding_names_are_no_text():
    parts = parts_of("EasyNegative 丑", ["easynegative"])
    assert [(part.content, part.is_text) for part in parts] == [("easynegative", False), (" 丑", True)]


def test_words_without_syntax():
    assert words_of("(a cat:1.2), <lora:x:1> BREAK [red|blue]") == "a cat , red blue"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a cat (small)", r"a cat \(small\)"),
        ("<lora:evil:1> cat", "lora, evil, 1 cat"),
        ("a cat AND a dog BREAK", "a cat and a dog break"),
        ("subject: cat, ", "subject, cat"),
        ("[a|b] {c} __d__", r"\[a\|b\] c d"),
    ],
)
def test_words_of_the_model_are_no_syntax(text, words):
    assert as_words(text) == words


@pytest.mark.parametrize(
    ("prompt", "result"),
    [
        ("a cat", "a cat, D"),
        ("a cat, ", "a cat, D"),
        ("", "D"),
        ("a cat AND a dog :0.5", "a cat, D AND a dog :0.5"),
        ("a cat :1.2 AND a dog", "a cat, D :1.2 AND a dog"),
        ("(a cat:1.2)", "(a cat:1.2), D"),
        ("a cat <lora:x:1>", "a cat <lora:x:1>, D"),
    ],
)
def test_details_belong_to_the_first_part(prompt, result):
    assert with_details(prompt, "D") == result
