"""What the prompts of a pass say, call by call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_runner.protocol.prompt.composition import (
    HEAVIEST,
    MOST_PARTS,
    PromptComposition,
    TooManyWords,
    composition,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a cat", [("a cat", 1.0)]),
        ("a cat AND a dog", [("a cat ", 1.0), (" a dog", 1.0)]),
        ("a cat :1.2 AND a dog: -.5 AND", [("a cat ", 1.2), (" a dog", -0.5), ("", 1.0)]),
        ("(a cat:1.2) AND ANDY and BRAND", [("(a cat:1.2) ", 1.0), (" ANDY and BRAND", 1.0)]),
        ("a cat:2", [("a cat", 2.0)]),
        ("a:" + "9" * 400, [("a", HEAVIEST)]),
    ],
)
def test_and_divides_a_prompt_into_weighted_parts(text, parts):
    assert composition(text) == parts


def test_each_part_has_its_own_schedule():
    words = PromptComposition.of("[red:blue:2] AND a cat:0.5", "[x|y]", 4)
    assert words.at(0) == ((("red ", 1.0), (" a cat", 0.5)), "x")
    assert words.at(3) == ((("blue ", 1.0), (" a cat", 0.5)), "x")
    assert words.texts == ("red ", "blue ", " a cat", "x", "y")


def test_tags_are_not_told_to_the_text_encoder_and_and_is_a_plain_word_of_a_negative_prompt():
    words = PromptComposition.of("a cat<lora:ink:1>", "ugly AND <lora:ink:1>", 4)
    assert words.texts == ("a cat", "ugly AND <lora:ink:1>")


def test_more_parts_than_a_call_has_rows_are_refused():
    PromptComposition.of(" AND ".join("a" * MOST_PARTS), "", 4)
    with pytest.raises(TooManyWords, match="17 parts"):
        PromptComposition.of("a AND " * MOST_PARTS, "", 4)


def test_so_many_texts_that_they_fill_the_memory_are_refused():
    PromptComposition.of("a" * 20_000 + "[b|c]", "", 500)
    with pytest.raises(TooManyWords):
        PromptComposition.of("a" * 10_000 + "[b|c|d|e|f|g|h|i|j|k|l]", "", 500)


@given(st.text(alphabet="[]():| AND.15<>lora"), st.integers(1, 30))
def test_every_prompt_says_something_at_every_call(text, calls):
    try:
        words = PromptComposition.of(text, text, calls)
    except TooManyWords:
        return
    for call in (0, calls - 1, 3 * calls):
        positives, negative = words.at(call)
        assert {negative, *(text for text, _weight in positives)} <= set(words.texts)
