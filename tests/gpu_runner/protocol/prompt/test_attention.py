"""Prompt attention in A1111's syntax."""

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_runner.protocol.prompt.attention import MAX_WEIGHT, parse_attention

ONE_BRACKET_LESS = 1 / 1.1


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ("", []),
        ("a cat", [("a cat", 1.0)]),
        ("(x)", [("x", 1.1)]),
        ("(x:1.4)", [("x", 1.4)]),
        ("(x: .5 )", [("x", 0.5)]),
        ("(x:-1)", [("x", -1.0)]),
        ("(x:0)", [("x", 0.0)]),
        ("[x]", [("x", ONE_BRACKET_LESS)]),
        ("((a:1.3) b:0.5)", [("a", 0.65), (" b", 0.5)]),
        ("a (b [c]", [("a ", 1.0), ("b ", 1.1), ("c", 1.1 * ONE_BRACKET_LESS)]),
        ("(a [b) c]", [("a ", 1.1), ("b", 1.1 * ONE_BRACKET_LESS), (" c", ONE_BRACKET_LESS)]),
        ("a) ]b", [("a) ]b", 1.0)]),
        ("a:1.2)", [("a:1.2)", 1.0)]),
        ("[a:1.5]", [("a:1.5", ONE_BRACKET_LESS)]),
        ("(a:1.2.3)", [("a:1.2.3", 1.1)]),
        (r"\(a\) \[b\] c\\d e\f", [(r"(a) [b] c\d ef", 1.0)]),
        (r"(\(a\):2)", [("(a)", 2.0)]),
    ],
)
def test_brackets_set_weights(text, section):
    (parsed,) = parse_attention(text)
    assert [part for part, _weight in parsed] == [part for part, _weight in section]
    assert [weight for _part, weight in parsed] == pytest.approx([weight for _part, weight in section])


def test_break_starts_a_section_even_inside_brackets():
    assert parse_attention("a BREAK (b BREAK c:1.2)") == [[("a", 1.0)], [("b", 1.2)], [("c", 1.2)]]
    assert parse_attention("OUTBREAK break") == [[("OUTBREAK break", 1.0)]]


@given(st.text(alphabet=st.characters(exclude_characters="()[]\\")).filter(lambda text: "BREAK" not in text))
def test_a_prompt_without_brackets_is_unchanged(text):
    assert parse_attention(text) == [[(text, 1.0)] if text else []]


@given(st.text(alphabet="()[]\\:|.1a BREAK") | st.text())
def test_any_text_parses_to_finite_weights(text):
    for section in parse_attention(text):
        assert all(part and isfinite(weight) for part, weight in section)


def test_weights_are_bounded():
    assert parse_attention("(" * 9000 + "x") == [[("x", MAX_WEIGHT)]]
    assert parse_attention("(x:" + "9" * 5000 + ")") == [[("x", MAX_WEIGHT)]]
