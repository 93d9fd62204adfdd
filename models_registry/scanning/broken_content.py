"""Files whose content is not what their name says: failed downloads, and numbers that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

HEAD_BYTES = 512
CHUNK_BYTES = 4 * 1024 * 1024
# First bytes after white space, in lower case -> what the file is instead.
CONTENTS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: fetch it with git lfs pull"),
    (b"<", "a web page, not a model: the download needs a login, or its address is that of a page"),
    (b'{"error', "an error message of a server, not a model: the download failed"),
    (b"pk\x03\x04", "a ZIP archive or a pickle of torch, not a safetensors file"),
    (b"gguf", "a GGUF file: its name must end in .gguf"),
)
# Data type of safetensors -> (type of the same width, bits of the exponent: all set in NaN and infinity).
EXPONENTS: dict[str, tuple[str, int]] = {
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F32": ("<u4", 0x7F80_0000),
    "F64": ("<u8", 0x7FF0_0000_0000_0000),
}


def other_content(file: Path) -> str:
    """What a file that is no valid safetensors file is instead; empty if that cannot be told."""
    with file.open("rb") as stream:
        head = stream.read(HEAD_BYTES).lstrip().lower()
    return next((content for start, content in CONTENTS if head.startswith(start)), "")


def first_not_finite(file: Path) -> str:
    """Name of the first tensor of a valid safetensors file that contains NaN or infinity; empty if none does."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header: dict[str, dict[str, Any]] = json.loads(stream.read(length))
        for name, tensor in header.items():
            known = EXPONENTS.get(tensor.get("dtype", ""))
            if known is None:
                continue
            begin, end = tensor["data_offsets"]
            stream.seek(8 + length + begin)
            for at in range(begin, end, CHUNK_BYTES):
                bits = np.frombuffer(stream.read(min(CHUNK_BYTES, end - at)), known[0])
                if ((bits & known[1]) == known[1]).any():
                    return name
    return ""
