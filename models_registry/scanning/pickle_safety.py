"""A look into torch's pickled files without running them.

A pickle names the globals that it would call. ``torch.load(weights_only=True)`` refuses all but a few; the same few are
listed here, so that a file which no runner would load is known as such when it is found.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

# Not called but only named, in released files; whoever reads them puts a table in their place.
STAND_IN_TABLES = {
    "pytorch_lightning.callbacks.model_checkpoint ModelCheckpoint",
    "torch.nn.modules.container ParameterDict",
}
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
} | STAND_IN_TABLES
HARMLESS_KIND = re.compile(r"torch(\.cuda)? (\w+Storage|b?float\d+\w*|u?int\d+|bool|half|float|double|long)")

LARGEST_PICKLE = 64 * 1024 * 1024  # the tensors' data lie outside of it
LEGACY_PICKLES = 5  # magic number, protocol, system, the object, the storages' keys
LEGACY_OBJECT = 4  # the fourth of them
PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}


class SuspectPickle(ValueError):
    """Not torch's file, or one that would call something else than torch's constructors."""


def check_pickle(path: Path) -> None:
    stream, pickles = _opened(path)
    for _number in range(pickles):
        for name in _globals(stream):
            if name not in HARMLESS and not HARMLESS_KIND.fullmatch(name):
                raise SuspectPickle(f"refers to {name.replace(' ', '.')[:100]}")


def object_pickle(path: Path) -> bytes:
    """The pickle that builds what was saved, of a file that ``check_pickle`` let pass."""
    stream, pickles = _opened(path)
    begin = 0
    for _number in range(LEGACY_OBJECT if pickles > 1 else 1):
        begin = stream.tell()
        deque(pickletools.genops(stream), maxlen=0)
    return stream.getvalue()[begin : stream.tell()]


def _opened(path: Path) -> tuple[io.BytesIO, int]:
    """The stream, and how many pickles follow one another in it: each reading leaves it where the next one begins."""
    with path.open("rb") as file:
        is_zip = zipfile.is_zipfile(file)
        file.seek(0)
        return (_zipped(file), 1) if is_zip else (_legacy(file.read(LARGEST_PICKLE)), LEGACY_PICKLES)


def _zipped(file: io.BufferedReader) -> io.BytesIO:
    try:
        with zipfile.ZipFile(file) as archive:
            entry = next(entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
            if entry.file_size > LARGEST_PICKLE:
                raise SuspectPickle("its pickle is too large")
            return io.BytesIO(archive.read(entry))
    except (StopIteration, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise SuspectPickle("not a file that torch wrote") from error


def _legacy(head: bytes) -> io.BytesIO:
    if not head.startswith(b"\x80"):
        raise SuspectPickle("not a file that torch wrote")
    return io.BytesIO(head)


def _globals(stream: io.BytesIO) -> Iterator[str]:
    """``module name`` of each global, in the form that pickletools gives the GLOBAL opcode."""
    texts: list[str] = []
    memo: dict[int, str] = {}
    try:
        for number, (opcode, argument, _position) in enumerate(pickletools.genops(stream)):
            if opcode.name in {"INST", "EXT1", "EXT2", "EXT4"}:
                raise SuspectPickle(f"uses the opcode {opcode.name}")
            if opcode.name in PUTS and isinstance(argument, int) and argument > number:
                raise SuspectPickle("its memo has holes")  # unpicklers make room for all of it
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
    elif opcode in PUTS and isinstance(argument, int):
        memo[argument] = texts[-1] if texts else "?"
    elif opcode in {"GET", "BINGET", "LONG_BINGET"} and isinstance(argument, int):
        texts.append(memo.get(argument, "?"))
    else:
        texts.append(argument if isinstance(argument, str) and "UNICODE" in opcode else "?")
    del texts[:-2]
