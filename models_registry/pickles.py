"""A look into torch's pickled files without running them.

A pickle names the globals that it would call. ``torch.load(weights_only=True)`` refuses all but a few; the same few are
listed here, so that a file which no runner would load is known as such when it is found.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

HARMLESS = {
    "collections OrderedDict",
    "_codecs encode",
    "torch Size",
    "torch Tensor",
    "torch device",
    "torch.nn.parameter Parameter",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_parameter_with_state",
    "torch.storage UntypedStorage",
    "torch.storage TypedStorage",
    "torch.serialization _get_layout",
    # Not called but only named, in released files; the runner puts a table in their place.
    "pytorch_lightning.callbacks.model_checkpoint ModelCheckpoint",
    "torch.nn.modules.container ParameterDict",
}
HARMLESS_KIND = re.compile(r"torch(\.cuda)? (\w+Storage|b?float\d+\w*|u?int\d+|bool|half|float|double|long)")

LARGEST_PICKLE = 64 * 1024 * 1024  # the tensors' data lie outside of it
LEGACY_PICKLES = 5  # magic number, protocol, system, the object, the storages' keys


class SuspectPickle(ValueError):
    """Not torch's file, or one that would call something else than torch's constructors."""


def check_pickle(path: Path) -> None:
    with path.open("rb") as file:
        is_zip = zipfile.is_zipfile(file)
        file.seek(0)
        pickles = [_zipped(file)] if is_zip else _legacy(file.read(LARGEST_PICKLE))
        for pickled in pickles:
            for name in _globals(pickled):
                if name not in HARMLESS and not HARMLESS_KIND.fullmatch(name):
                    raise SuspectPickle(f"refers to {name.replace(' ', '.')[:100]}")


def _zipped(file: io.BufferedReader) -> io.BytesIO:
    try:
        with zipfile.ZipFile(file) as archive:
            entry = next(entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
            if entry.file_size > LARGEST_PICKLE:
                raise SuspectPickle("its pickle is too large")
            return io.BytesIO(archive.read(entry))
    except (StopIteration, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise SuspectPickle("not a file that torch wrote") from error


def _legacy(head: bytes) -> Iterator[io.BytesIO]:
    """The same stream again and again: each reading leaves it where the next pickle begins."""
    if not head.startswith(b"\x80"):
        raise SuspectPickle("not a file that torch wrote")
    stream = io.BytesIO(head)
    return (stream for _number in range(LEGACY_PICKLES))


def _globals(stream: io.BytesIO) -> Iterator[str]:
    """``module name`` of each global, in the form that pickletools gives the GLOBAL opcode."""
    texts: list[str] = []
    memo: dict[int, str] = {}
    try:
        for opcode, argument, _position in pickletools.genops(stream):
            if opcode.name in {"INST", "EXT1", "EXT2", "EXT4"}:
                raise SuspectPickle(f"uses the opcode {opcode.name}")
            if opcode.name == "GLOBAL":
                yield str(argument)
            elif opcode.name == "STACK_GLOBAL":
                yield " ".join(texts[-2:])
            _follow_texts(opcode.name, argument, texts, memo)
    except (ValueError, EOFError, UnicodeError, OverflowError, MemoryError) as error:
        raise error if isinstance(error, SuspectPickle) else SuspectPickle("broken pickle") from error


def _follow_texts(opcode: str, argument: object, texts: list[str], memo: dict[int, str]) -> None:
    """STACK_GLOBAL takes its names from the stack. Whatever is not plainly a text becomes '?', which nobody trusts."""
    if opcode in {"PROTO", "FRAME"}:
        return
    if opcode == "MEMOIZE":
        memo[len(memo)] = texts[-1] if texts else "?"
    elif opcode in {"PUT", "BINPUT", "LONG_BINPUT"} and isinstance(argument, int):
        memo[argument] = texts[-1] if texts else "?"
    elif opcode in {"GET", "BINGET", "LONG_BINGET"} and isinstance(argument, int):
        texts.append(memo.get(argument, "?"))
    else:
        texts.append(argument if isinstance(argument, str) and "UNICODE" in opcode else "?")
    del texts[:-2]
