"""Extra network tags in prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_runner.protocol.prompt.extra_networks import InvalidTag, Tag, extra_networks


def tag(text: str) -> Tag:
    (found,) = extra_networks(text)[1]
    return found


@pytest.mark.parametrize(
    ("text", "text_encoder", "unet", "rank"),
    [
        ("<lora:ink>", 1.0, 1.0, None),
        ("<lora:ink:0.8>", 0.8, 0.8, None),
        ("<lyco:ink:-1>", -1.0, -1.0, None),
        ("<lora:ink:0.8:0.2>", 0.8, 0.2, None),
        ("<lora:ink:0.8:0.2:4>", 0.8, 0.2, 4),
        ("<lora:ink:te=0.5:unet=2>", 0.5, 2.0, None),
        ("<lora:ink:te=0.5>", 0.5, 0.5, None),
        ("<lora:ink:0.3:unet=2:dyn=8>", 0.3, 2.0, 8),
    ],
)
def test_tag_arguments_are_positional_or_named(text, text_encoder, unet, rank):
    found = tag(text)
    assert found.is_lora
    assert found.name == "ink"
    assert (found.text_encoder, found.unet, found.rank) == (text_encoder, unet, rank)


def test_tags_are_removed_from_the_text():
    text, tags = extra_networks("a <lora:ink:1> cat < b > <hypernet:old:0.5>, <x>")
    assert text == "a  cat < b > , <x>"
    assert [(tag.kind, tag.name) for tag in tags] == [("lora", "ink"), ("hypernet", "old")]


@pytest.mark.parametrize("text", ["<lora:ink:much>", "<lora:ink:nan>", "<lora:ink:te=inf>"])
def test_a_weight_that_is_not_a_finite_number_is_rejected(text):
    with pytest.raises(InvalidTag):
        _ = tag(text).text_encoder


@given(st.text(alphabet="<>:=lora1. ") | st.text())
def test_any_text_can_be_parsed(text):
    plain, tags = extra_networks(text)
    assert bool(tags) == (plain != text)
