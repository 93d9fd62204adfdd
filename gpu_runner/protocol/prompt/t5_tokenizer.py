"""Tokenizer of T5 1.1, built from the SentencePiece pieces that ship with the package. No torch."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from importlib import resources

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram

from .embedding_names import sections_of

PADDING, END, UNKNOWN = 0, 1, 2
# No text has these: spaces become U+2581 before it is cut into pieces.
CONTROL_PIECES = ("<pad> ", "</s> ", "<unk> ")


def t5_tokens(text: str) -> list[int]:
    """Return the tokens of a text, without the end token. Names of special tokens inside it are plain text."""
    return _tokenizer().encode(text).ids


def weighted_t5_tokens(prompt: str, window: int, emphasis: str) -> tuple[list[int], list[float]]:
    """Tokens of a prompt and their weights, with the end token. What exceeds the window is cut off at the end.

    ``emphasis`` is that of the request; BREAK joins what it separates for CLIP.
    """
    pairs = [
        (token, weight)
        for section in sections_of(prompt, emphasis)
        for text, weight in section
        for token in t5_tokens(text)
    ][: window - 1]
    return [*(token for token, _weight in pairs), END], [*(weight for _token, weight in pairs), 1.0]


def t5_length(prompt: str, emphasis: str) -> int:
    """Number of tokens of a prompt, with the end token."""
    parts = (text for section in sections_of(prompt, emphasis) for text, _weight in section)
    return sum(len(t5_tokens(text)) for text in parts) + 1


@cache
def _tokenizer() -> Tokenizer:
    packed = resources.files("gpu_runner").joinpath("assets/t5_pieces.json.gz").read_bytes()
    content = json.loads(gzip.decompress(packed))
    pieces = [(piece, 0.0) for piece in CONTROL_PIECES]
    pieces += zip(content["pieces"], content["scores"], strict=True)
    tokenizer = Tokenizer(Unigram(pieces, UNKNOWN, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(base64.b64decode(content["charsmap"])),
            normalizers.Strip(left=False, right=True),
            normalizers.Replace(Regex(" {2,}"), "▁"),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=True)
    return tokenizer
