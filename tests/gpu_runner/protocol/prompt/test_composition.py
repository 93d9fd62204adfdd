"""Prompts of a pass: AND, per-part schedules, and limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_runner.protocol.prompt.composition import (
    MAX_PARTS,
    MAX_WEIGHT,
    PromptComposition,
    PromptTooLong,
    parse_composition,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a cat", [("a cat", 1.0)]),
        ("a cat AND a dog", [("a cat ", 1.0), (" a dog", 1.0)]),
        ("a cat :1.2 AND a dog: -.5 AND", [("a cat ", 1.2), (" a dog", -0.5), ("", 1.0)]),
        ("(a cat:1.2) AND ANDY and BRAND", [("(a cat:1.2) ", 1.0), (" ANDY and BRAND", 1.0)]),
        ("a cat:2", [("a cat", 2.0)]),
        ("a:" + "9" * 400, [("a", MAX_WEIGHT)]),
    ],
)
def test_and_splits_a_prompt_into_weighted_parts(text, parts):
    assert parse_composition(text) == parts


def test_each_part_has_its_own_schedule():
    prompts = PromptComposition.of("[red:blue:2] AND a cat:0.5", "[x|y]", 4)
    assert prompts.at(0) == ((("red ", 1.0), (" a cat", 0.5)), "x")
    assert prompts.at(3) == ((("blue ", 1.0), (" a cat", 0.5)), "x")
    assert prompts.texts == ("red ", "blue ", " a cat", "x", "y")


def test_tags_are_removed_from_the_positive_prompt_and_the_negative_prompt_is_kept_verbatim():
    prompts = PromptComposition.of("a cat<lora:ink:1>", "ugly AND <lora:ink:1>", 4)
    assert prompts.texts == ("a cat", "ugly AND <lora:ink:1>")


def test_too_many_parts_are_rejected():
    PromptComposition.of(" AND ".join("a" * MAX_PARTS), "", 4)
    with pytest.raises(PromptTooLong, match="at most 16 parts"):
        PromptComposition.of("a AND " * MAX_PARTS, "", 4)


def test_too_many_characters_over_all_scheduled_texts_are_rejected():
    PromptComposition.of("a" * 20_000 + "[b|c]", "", 500)
    with pytest.raises(PromptTooLong):
        PromptComposition.of("a" * 10_000 + "[b|c|d|e|f|g|h|i|j|k|l]", "", 500)


@given(st.text(alphabet="[]():| AND.15<>lora"), st.integers(1, 30))
def test_the_texts_of_every_call_are_among_the_texts_to_encode(text, calls):
    try:
        prompts = PromptComposition.of(text, text, calls)
    except PromptTooLong:
        return
    for call in (0, calls - 1, 3 * calls):
        positives, negative = prompts.at(call)
        assert {negative, *(text for text, _weight in positives)} <= set(prompts.texts)
