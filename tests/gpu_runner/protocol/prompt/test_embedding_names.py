"""Embedding names in prompts: the same words for admission and for the text encoder."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from gpu_runner.networks.conditioning import Embedding, TextEncodingOptions
from gpu_runner.networks.text.prompt_chunks import chunks_of
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.prompt.embedding_names import EmbeddingNames, escaped, named_embeddings, passes_of
from gpu_runner.protocol.prompt.tokenizer import clip_tokenizer

NAMES = [
    "bad-hands",
    "bad",
    "bad hands v2",
    "girl",
    "by (artist)",
    "x:y",
    "É",
    "猫",
    "1girl",
    "3",
    "[edge]",
    "''",
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a photo, BAD-hands", {"bad-hands"}),
        ("bad  hands\nv2", {"bad hands v2"}),
        ("bad hands v", {"bad"}),
        ("(bad-hands:1.2)", {"bad-hands"}),
        ("[bad-hands|x]", {"bad-hands"}),
        ("[a:bad-hands:0.5]", {"bad-hands"}),
        ("2bad-hands3", {"bad-hands", "3"}),
        ("bad-handsome", {"bad"}),
        ("toobad-hands", set()),
        (r"by \(artist\)", {"by (artist)"}),
        ("by (artist)", set()),
        (r"\[edge\]", {"[edge]"}),
        ("<lora:girl:1>", set()),
        ("<lora:girl:1> girl", {"girl"}),
        ("1girl", {"1girl"}),
        ("girls", set()),
        ("girl's", {"girl"}),
        ("e\N{COMBINING ACUTE ACCENT}", {"É"}),
        ("猫が", set()),
        ("猫，girl", {"猫", "girl"}),
        ("", set()),
    ],
)
def test_names_are_found_as_whole_words_and_the_longest_wins(text, found):
    assert named_embeddings(GenerationRequest(prompt=text), NAMES) == found


def test_tags_are_plain_text_in_the_negative_prompt_and_without_emphasis_brackets_are():
    assert named_embeddings(GenerationRequest(negative_prompt="<lora:girl:1>"), NAMES) == {"girl"}
    assert named_embeddings(GenerationRequest(prompt="by (artist)", emphasis="None"), NAMES) == {
        "by (artist)"
    }


def test_prompts_of_the_hires_pass_are_read_at_its_own_steps():
    hires = {"width": 128, "height": 128, "prompt": "[a:girl:1.5]"}
    request = GenerationRequest(prompt="[a:bad:1.5]", num_inference_steps=10, hires=hires)
    assert named_embeddings(request, NAMES) == {"girl"}  # 1.5 is halfway through the second pass


def test_parts_join_to_the_text():
    parts = list(EmbeddingNames(NAMES).split("a bad-hands, girl!"))
    assert parts == [("a ", ""), ("", "bad-hands"), (", ", ""), ("", "girl"), ("!", "")]


@given(st.text())
def test_text_without_names_stays_one_part(text):
    assert list(EmbeddingNames([]).split(text)) == [(text, "")]
    assert list(EmbeddingNames(["", " "]).split(text)) == [(text, "")]


WORDS = st.sampled_from(
    [*NAMES, "a", "BAD", "hands", "-", "v2", "(", ")", "[", "]", ":", "|", "\\", ":1.2)", ":0.5]", " ", ", ", "\n",
     "BREAK", " AND ", "<lora:girl:1>", "<lora:", ">", "s", "'s", "，", "（", "１", "ß", "İ", "é", "😀", r"\(artist\)"]
)  # fmt: skip
PROMPTS = st.lists(WORDS | st.text(max_size=3), max_size=14).map("".join)


@given(PROMPTS, PROMPTS, st.sampled_from(["Original", "None"]), st.booleans())
@example("by \\(artist\\)", "<lora:girl:1>", "Original", False)
def test_admission_finds_what_the_text_encoder_uses(prompt, negative, emphasis, has_hires):
    request = GenerationRequest(
        prompt=prompt,
        negative_prompt=negative,
        emphasis=emphasis,
        num_inference_steps=4,
        hires={"width": 64, "height": 64, "prompt": negative, "negative_prompt": prompt}
        if has_hires
        else None,
    )
    found = named_embeddings(request, NAMES)
    assert used_by_the_text_encoder(request, NAMES) == found
    assert used_by_the_text_encoder(request, sorted(found)) == found


def used_by_the_text_encoder(request: GenerationRequest, names: list[str]) -> set[str]:
    embeddings = tuple(Embedding(name, name, (torch.zeros(1, 4),)) for name in names)
    options = TextEncodingOptions(emphasis=request.emphasis, embeddings=embeddings)
    texts = {text for prompts in passes_of(request) for text in prompts.texts}
    chunks = [chunk for text in texts for chunk in chunks_of(text, clip_tokenizer(), options)]
    return {embedding.name for chunk in chunks for embedding in chunk.embeddings.values()}


@pytest.mark.parametrize("name", [*NAMES, r"back\slash (1)"])
def test_escaped_name_is_found(name):
    assert named_embeddings(GenerationRequest(prompt=f"x, {escaped(name)}"), [name]) == {name}
