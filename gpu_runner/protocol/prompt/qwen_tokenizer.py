"""Tokenizer of Qwen2.5 and Qwen3, built from the BPE merges that ship with the package. No torch."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cache
from importlib import resources

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from .tokenizer import letters_of_bytes

START, END, PADDING = 151644, 151645, 151643  # <|im_start|>, <|im_end|>, <|endoftext|>
IMAGE_START, IMAGE_END, IMAGE = 151652, 151653, 151655  # <|vision_start|>, <|vision_end|>, <|image_pad|>
THINK, END_OF_THOUGHT = 151667, 151668
TEMPLATE_TOKENS = 8  # of a message without text
VOCABULARY_SIZE = 151936  # rows of the embedding table of the released models

_WORDS = Regex(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def chat_tokens(prompt: str, *, answers_at_once: bool = False) -> list[int]:
    """Return the tokens of a prompt as the message of a user, up to where the assistant's answer would begin.

    ``answers_at_once``: an empty thought follows, as Qwen3 writes it where it is told not to think.

    Names of special tokens inside the prompt are plain text, so that a prompt cannot end its message.
    """
    encode = _tokenizer().encode
    message = encode(f"user\n{prompt}").ids
    thought = [THINK, *encode("\n\n").ids, END_OF_THOUGHT, *encode("\n\n").ids] if answers_at_once else []
    return [START, *message, END, *encode("\n").ids, START, *encode("assistant\n").ids, *thought]


# What Qwen-Image tells its text encoder before the prompt.
DESCRIBE = (
    "Describe the image by detailing the color, shape, size, texture, quantity, text, spatial relationships of the objects"
    " and background:"
)
DESCRIBE_TOKENS = 34  # of the beginning, whose states are not used


def described_tokens(prompt: str) -> list[int]:
    """The prompt as the message of a user after the task of Qwen-Image; the first DESCRIBE_TOKENS belong to the task."""
    encode = _tokenizer().encode
    task = [START, *encode(f"system\n{DESCRIBE}").ids, END, *encode("\n").ids]
    return task + chat_tokens(prompt)


# What Qwen-Image-Edit tells its text encoder before images and prompt.
INSTRUCT = (
    "Describe the key features of the input image (color, shape, size, texture, objects, background), then explain how the"
    " user's text instruction should alter or modify the image. Generate a new image that meets the user's requirements"
    " while maintaining consistency with the original input where appropriate."
)
INSTRUCT_TOKENS = 64  # of the beginning, whose states are not used


def edit_tokens(prompt: str, images: Sequence[int], *, numbered: bool, most: int | None = None) -> list[int]:
    """The prompt as the message of a user who shows images, after the task of Qwen-Image-Edit.

    ``images``: the number of tokens of each. ``numbered``: "Picture 1: " precedes the first, as in the models from 2509
    on. ``most``: number of tokens of the prompt, whose end is cut off; None: all.
    """
    encode = _tokenizer().encode
    tokens = [START, *encode(f"system\n{INSTRUCT}").ids, END, *encode("\n").ids, START, *encode("user\n").ids]
    for number, count in enumerate(images, 1):
        tokens += encode(f"Picture {number}: ").ids if numbered else []
        tokens += [IMAGE_START, *[IMAGE] * count, IMAGE_END]
    return [*tokens, *encode(prompt).ids[:most], END, *encode("\n").ids, START, *encode("assistant\n").ids]


def tokens_of(text: str) -> list[int]:
    """The tokens of a text alone, in which names of special tokens are plain text."""
    return list(_tokenizer().encode(text).ids)


@cache
def _tokenizer() -> Tokenizer:
    packed = resources.files("gpu_runner").joinpath("assets/qwen_merges.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode().splitlines()
    pairs = [(left, right) for left, right in (line.split(" ") for line in lines)]
    entries = [*letters_of_bytes(), *map("".join, pairs)]
    tokenizer = Tokenizer(BPE(vocab={entry: number for number, entry in enumerate(entries)}, merges=pairs))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORDS, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer
