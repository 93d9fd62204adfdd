"""CLIP tokenizer, built from the BPE merges that ship with the package.

It uses ``tokenizers`` only, so that counting tokens imports neither torch nor transformers.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import cache
from importlib import resources

from ftfy import fix_text
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

BOS = "<|startoftext|>"
EOS = "<|endoftext|>"
BOS_ID = 49406
EOS_ID = 49407
VOCABULARY_SIZE = 49408

_END_OF_WORD = "</w>"
_WORDS = Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")


class ClipTokenizer:
    """Converts text to CLIP token ids. Thread-safe."""

    def __init__(self, backend: Tokenizer) -> None:
        self._backend = backend

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, without start and end tokens and without truncation.

        The text is cleaned with ftfy first, as CLIP's reference tokenizer does and did in training: full-width and
        compatibility characters, typographic quotes, HTML entities, and text that was decoded with a wrong encoding.
        """
        return self._backend.encode(fix_text(text), add_special_tokens=False).ids

    def token(self, token_id: int) -> str | None:
        """Return the token of an id, or None if there is none."""
        return self._backend.id_to_token(token_id)


@cache
def clip_tokenizer() -> ClipTokenizer:
    """Return the tokenizer shared by the process."""
    backend = Tokenizer(_byte_pair_model())
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORDS, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.add_special_tokens([BOS, EOS])
    return ClipTokenizer(backend)


def _byte_pair_model() -> BPE:
    pairs = merges()
    letters = list(letters_of_bytes())
    entries = [*letters, *(letter + _END_OF_WORD for letter in letters), *map("".join, pairs), BOS, EOS]
    return BPE(
        vocab={entry: number for number, entry in enumerate(entries)},
        merges=pairs,
        end_of_word_suffix=_END_OF_WORD,
        unk_token=EOS,
        fuse_unk=False,
    )


def merges() -> list[tuple[str, str]]:
    """Read the BPE merges of CLIP in order of priority."""
    packed = resources.files("gpu_runner").joinpath("assets/clip_merges.txt.gz").read_bytes()
    pairs = (line.split(" ") for line in gzip.decompress(packed).decode().splitlines())
    return [(left, right) for left, right in pairs]


def letters_of_bytes() -> Iterator[str]:
    """Printable characters that represent the 256 byte values in byte-level BPE, in vocabulary order."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    yield from map(chr, visible)
    yield from (chr(256 + i) for i in range(256 - len(visible)))
