"""Safety check of torch's pickled files (.ckpt, .pt, .pth) without executing them.

A pickle names the globals that unpickling would call. Allowed are those of ``torch.load(weights_only=True)``, so that a
file which no runner would load is rejected by the scan.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

# Named in released files. They are never called: loaders replace them with a dict.
DICT_CLASSES = {
    "pytorch_lightning.callbacks.model_checkpoint ModelCheckpoint",
    "torch.nn.modules.container ParameterDict",
}
ALLOWED_GLOBALS = {
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
} | DICT_CLASSES
ALLOWED_DTYPES = re.compile(r"torch(\.cuda)? (\w+Storage|b?float\d+\w*|u?int\d+|bool|half|float|double|long)")

MAX_PICKLE_BYTES = 64 * 1024 * 1024  # without the tensor data, which is stored separately
# torch's format before 1.6 has 5 pickles: magic number, protocol version, system info, object, storage keys.
LEGACY_PICKLES = 5
LEGACY_OBJECT = 4  # 1-based position of the object among them
PUT_OPCODES = {"PUT", "BINPUT", "LONG_BINPUT"}


class UnsafePickle(ValueError):
    """Not a file written by torch, or one whose unpickling would call other globals than the allowed ones."""


def check_pickle(path: Path) -> None:
    """Raise UnsafePickle unless all globals of the file are allowed."""
    stream, pickles = _opened(path)
    for _number in range(pickles):
        for name in _globals(stream):
            if name not in ALLOWED_GLOBALS and not ALLOWED_DTYPES.fullmatch(name):
                raise UnsafePickle(f"refers to {name.replace(' ', '.')[:100]}")


def object_pickle(path: Path) -> bytes:
    """The pickle of the saved object. The file must have passed ``check_pickle``."""
    stream, pickles = _opened(path)
    begin = 0
    for _number in range(LEGACY_OBJECT if pickles > 1 else 1):
        begin = stream.tell()
        deque(pickletools.genops(stream), maxlen=0)
    return stream.getvalue()[begin : stream.tell()]


def _opened(path: Path) -> tuple[io.BytesIO, int]:
    """A stream, and the number of consecutive pickles in it."""
    with path.open("rb") as file:
        is_zip = zipfile.is_zipfile(file)
        file.seek(0)
        return (_zipped(file), 1) if is_zip else (_legacy(file.read(MAX_PICKLE_BYTES)), LEGACY_PICKLES)


def _zipped(file: io.BufferedReader) -> io.BytesIO:
    try:
        with zipfile.ZipFile(file) as archive:
            entry = next(entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
            if entry.file_size > MAX_PICKLE_BYTES:
                raise UnsafePickle("its pickle is too large")
            return io.BytesIO(archive.read(entry))
    except (StopIteration, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise UnsafePickle("not a file that torch wrote") from error


def _legacy(head: bytes) -> io.BytesIO:
    if not head.startswith(b"\x80"):
        raise UnsafePickle("not a file that torch wrote")
    return io.BytesIO(head)


def _globals(stream: io.BytesIO) -> Iterator[str]:
    """``module name`` of each global, in the form that pickletools gives the GLOBAL opcode."""
    texts: list[str] = []
    memo: dict[int, str] = {}
    try:
        for number, (opcode, argument, _position) in enumerate(pickletools.genops(stream)):
            if opcode.name in {"INST", "EXT1", "EXT2", "EXT4"}:
                raise UnsafePickle(f"uses the opcode {opcode.name}")
            if opcode.name in PUT_OPCODES and isinstance(argument, int) and argument > number:
                # Unpicklers allocate memory up to the highest index.
                raise UnsafePickle("its memo indexes are not contiguous")
            if opcode.name == "GLOBAL":
                yield str(argument)
            elif opcode.name == "STACK_GLOBAL":
                yield " ".join(texts[-2:])
            _follow_texts(opcode.name, argument, texts, memo)
    except (ValueError, EOFError, UnicodeError, OverflowError, MemoryError) as error:
        raise error if isinstance(error, UnsafePickle) else UnsafePickle("broken pickle") from error


def _follow_texts(opcode: str, argument: object, texts: list[str], memo: dict[int, str]) -> None:
    """Track the last two strings on the stack, from which STACK_GLOBAL takes module and name.

    Anything that is not a string becomes ``?``, which matches no allowed global.
    """
    if opcode in {"PROTO", "FRAME"}:
        return
    if opcode == "MEMOIZE":
        memo[len(memo)] = texts[-1] if texts else "?"
    elif opcode in PUT_OPCODES and isinstance(argument, int):
        memo[argument] = texts[-1] if texts else "?"
    elif opcode in {"GET", "BINGET", "LONG_BINGET"} and isinstance(argument, int):
        texts.append(memo.get(argument, "?"))
    else:
        texts.append(argument if isinstance(argument, str) and "UNICODE" in opcode else "?")
    del texts[:-2]
