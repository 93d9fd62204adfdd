"""Names and shapes of the tensors in torch's pickled files, without torch and without calling any global of the pickle.

Unpickling calls whatever ``find_class`` returns for a global. Here it returns stubs, which keep only the shape of a
tensor or nothing at all.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

from gpu_runner.protocol.model_detection.pickled_tensors import PickledObject, named_tensors, named_texts
from gpu_runner.protocol.model_detection.safetensors_models import Metadata, Shape, Shapes

from .pickle_safety import DICT_CLASSES, object_pickle

# A checkpoint needs a tenth of this; a malicious pickle can take 100 times its size in memory.
MAX_PICKLE_BYTES = 4 * 1024 * 1024


class _TensorStub:
    def __init__(self, shape: Shape) -> None:
        self.shape = shape


def pickled_shapes(path: Path) -> tuple[Shapes, Metadata] | None:
    """Shapes of the tensors by name, and the metadata; None if they cannot be read this way.

    The file must have passed ``check_pickle``.
    """
    pickled = object_pickle(path)
    if len(pickled) > MAX_PICKLE_BYTES:
        return None
    try:
        content = _ShapeUnpickler(io.BytesIO(pickled)).load()
    except Exception:  # a malformed or malicious pickle may raise anything from the stubs
        return None
    if not isinstance(content, dict):
        return None
    return {name: stub.shape for name, stub in named_tensors(content, _TensorStub)}, named_texts(content)


class _ShapeUnpickler(pickle.Unpickler):
    """Unpickler with stub classes. They are created per instance, because a pickle may modify the classes it gets."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)

        class Ignored:
            def __new__(cls, *_arguments: Any) -> Ignored:
                return super().__new__(cls)

            def __setstate__(self, state: Any) -> None:
                pass

        class DictStub(PickledObject):
            pass

        def tensor(_storage: Any, _offset: Any, size: Any, *_rest: Any) -> _TensorStub:
            return _TensorStub(tuple(map(int, size)))

        def parameter(data: Any, *_rest: Any) -> Any:
            return data

        self._ignored = Ignored
        self._stubs = {
            "collections OrderedDict": OrderedDict,
            "torch Size": tuple,
            "torch._utils _rebuild_tensor": tensor,
            "torch._utils _rebuild_tensor_v2": tensor,
            "torch._utils _rebuild_parameter": parameter,
            "torch._utils _rebuild_parameter_with_state": parameter,
            **dict.fromkeys(DICT_CLASSES, DictStub),
        }

    def find_class(self, module: str, name: str) -> Any:
        return self._stubs.get(f"{module} {name}", self._ignored)

    def persistent_load(self, _storage: Any) -> None:
        """Called for the tensor data, which is stored elsewhere in the file and not needed."""
