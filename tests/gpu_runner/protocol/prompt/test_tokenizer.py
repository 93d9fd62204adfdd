"""CLIP tokenizer, compared with that of transformers."""

from concurrent.futures import ThreadPoolExecutor

import ftfy
import pytest
from transformers import CLIPTokenizer

from gpu_runner.protocol.prompt.tokenizer import BOS_ID, EOS_ID, VOCABULARY_SIZE, clip_tokenizer, merges


@pytest.fixture(scope="module")
def reference():
    """transformers' own tokenizer over the same vocabulary."""
    ours = clip_tokenizer()
    vocabulary = {ours.token(number): number for number in range(VOCABULARY_SIZE)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges())


def test_known_ids():
    assert clip_tokenizer().encode("a photo of a cat") == [320, 1125, 539, 320, 2368]


def test_the_vocabulary_is_complete():
    assert clip_tokenizer().token(BOS_ID) == "<|startoftext|>"
    assert clip_tokenizer().token(EOS_ID) == "<|endoftext|>"
    assert all(clip_tokenizer().token(number) for number in range(VOCABULARY_SIZE))
    assert clip_tokenizer().token(VOCABULARY_SIZE) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  A  Photo\n of\ta CAT ",
        "it's 3.14, they'll don't!!! (masterpiece:1.2)",
        "一个红色的圆 в синем café naïve ñ",
        "🙂 ﬁne ½ <|endoftext|> tail",
        "x" * 500,
    ],
)
def test_agrees_with_transformers(reference, text):
    """transformers is given the cleaned text: since version 5 it does not clean it itself."""
    cleaned = ftfy.fix_text(text)
    assert clip_tokenizer().encode(text) == reference(cleaned, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("1girl，solo", "1girl,solo"),
        ("（猫：１．２）；！？", "(猫:1.2);!?"),
        ("“quoted” it’s", '"quoted" it\'s'),
        ("ＡＢＣ１２３", "abc123"),
        ("ﬁne ﬂower", "fine flower"),
        ("ｱｲｳ", "アイウ"),
        ("cats &amp; dogs", "cats & dogs"),
        ("cafÃ©", "café"),
        ("a\u3000cat", "a cat"),
    ],
)
def test_full_width_and_typographic_characters_are_cleaned(written, plain):
    assert clip_tokenizer().encode(written) == clip_tokenizer().encode(plain)


def test_a_full_width_comma_is_one_token():
    assert clip_tokenizer().encode("1girl，solo") == [272, 1611, 267, 5797]


def test_long_texts_are_not_truncated():
    assert len(clip_tokenizer().encode("cat " * 1000)) == 1000


def test_threads_share_one_tokenizer():
    texts = [f"a photo of {number} cats" for number in range(200)]
    alone = [clip_tokenizer().encode(text) for text in texts]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda text: clip_tokenizer().encode(text), texts)) == alone
