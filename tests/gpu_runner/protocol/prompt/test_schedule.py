"""Prompt editing and alternation: the text at each model evaluation."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_runner.protocol.prompt.schedule import prompt_schedule, text_at

SYNTAX_CHARACTERS = st.text(alphabet="[]():|\\ ab.15-")


def pairs(text, calls=10, **options):
    return [(end, part) for end, part in prompt_schedule(text, calls, **options)]


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("test", [(10, "test")]),
        ("", [(10, "")]),
        ("a [cat:dog:0.25]", [(2, "a cat"), (10, "a dog")]),
        ("a [b:3]", [(3, "a "), (10, "a b")]),
        ("a [b: 3 ]", [(3, "a "), (10, "a b")]),
        ("a [b::3]", [(3, "a b"), (10, "a ")]),
        ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
        ("[cat:dog:1]", [(1, "cat"), (10, "dog")]),
        ("[cat:dog:1.0]", [(10, "cat")]),
        ("[cat:dog:0]", [(10, "dog")]),
        ("[cat:dog:-3]", [(10, "dog")]),
        ("[cat:dog:99]", [(10, "cat")]),
        ("[cat:dog:.5]", [(5, "cat"), (10, "dog")]),
        ("[cat:dog:1e9999]", [(10, "cat")]),
        ("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
        ("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
        ("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
        ("([a:b:3]:1.2)", [(3, "(a:1.2)"), (10, "(b:1.2)")]),
        (r"[\[a\:\]:b:3]", [(3, r"\[a\:\]"), (10, "b")]),
    ],
)
def test_prompt_editing_switches_after_the_given_call(text, schedule):
    assert pairs(text) == schedule


@pytest.mark.parametrize(
    ("text", "cycle"),
    [
        ("[cow|horse]", ["cow", "horse"]),
        ("[cow|horse|]", ["cow", "horse", ""]),
        ("[fe|]male", ["female", "male"]),
        ("[|a||]", ["", "a", "", ""]),
        ("[a|(b:1.1)]", ["a", "(b:1.1)"]),
        ("[a|[b|c]]", ["a", "c"]),  # both alternate with the calls of the pass
    ],
)
def test_alternation_cycles_with_every_call(text, cycle):
    assert pairs(text) == [(call, cycle[(call - 1) % len(cycle)]) for call in range(1, 11)]


@pytest.mark.parametrize(
    "text",
    [
        "a [unbalanced",
        "[a:b]",
        "[a:1.5.2]",
        "(a:0.5)",
        "[a:b:c:3]",
        "[a|b:3]",
        "a ] b [ c",
        "[a (b:c:d) e:3]",
        "a | b [c:d:3]",  # a bar outside brackets: A1111's parser fails and uses the text unchanged
        "[a {b|d{:.5] c",
        "\\",
        r"\[a:b:3\]",
    ],
)
def test_text_that_is_not_a_construct_is_unchanged(text):
    assert pairs(text) == [(10, text)]


def test_unmatched_brackets_do_not_affect_other_constructs():
    assert pairs("((a][:b:c [d:3]") == [(3, "((a][:b:c "), (10, "((a][:b:c d")]
    assert pairs("[x:(b:c:d) [y:z:3]:5]") == [(3, "[x:(b:c:d) y:5]"), (10, "[x:(b:c:d) z:5]")]


def test_in_a_hires_pass_fractions_start_at_1_and_call_numbers_continue():
    assert pairs("[a:b:1.5]", 20, first_pass=10) == [(10, "a"), (20, "b")]
    assert pairs("[a:b:0.5]", 20, first_pass=10) == [(20, "b")]
    assert pairs("[a:b:14]", 20, first_pass=10) == [(4, "a"), (20, "b")]
    assert pairs("[a:b:10]", 20, first_pass=10) == [(20, "b")]


def test_an_entry_includes_its_end_and_the_last_one_has_no_end():
    schedule = prompt_schedule("[a:b:5]", 10)
    assert "".join(text_at(schedule, call) for call in range(13)) == "aaaaaabbbbbbb"


@given(SYNTAX_CHARACTERS | st.text(), st.integers(1, 40), st.none() | st.integers(1, 40))
def test_any_text_has_an_ascending_schedule_up_to_the_last_call(text, calls, first_pass):
    schedule = prompt_schedule(text, calls, first_pass=first_pass)
    ends = [end for end, _text in schedule]
    assert ends == sorted(set(ends))
    assert ends[-1] == calls
    assert ends[0] >= 1


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "[(" * 2000 + ":3])" * 900, "[a|b]" * 1000, "[a:" * 5000 + "3]" * 5000]
)
def test_parsing_time_is_bounded_for_hostile_input(text):
    began = time.process_time()
    prompt_schedule(text, 500)
    assert time.process_time() - began < 5
