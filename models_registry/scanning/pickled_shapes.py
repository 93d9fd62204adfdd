"""Names and shapes of the tensors in torch's pickled files. Nothing that a pickle names is called, and torch is not needed.

Unpickling is building: it calls what it is handed for the names. Here it is handed stand-ins that keep a size, or nothing.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

from gpu_runner.protocol.model_detection.pickled_tensors import Table, named_tensors, named_texts
from gpu_runner.protocol.model_detection.safetensors_models import Metadata, Shape, Shapes

from .pickle_safety import STAND_IN_TABLES, object_pickle

LARGEST_READ = 4 * 1024 * 1024  # a checkpoint's is a tenth of it; a hostile one grows a hundredfold in memory


class _Sized:
    def __init__(self, shape: Shape) -> None:
        self.shape = shape


def pickled_shapes(path: Path) -> tuple[Shapes, Metadata] | None:
    """Of a file that ``check_pickle`` let pass; None where its table cannot be read this way."""
    pickled = object_pickle(path)
    if len(pickled) > LARGEST_READ:
        return None
    try:
        content = _Unpickler(io.BytesIO(pickled)).load()
    except Exception:  # whatever a broken or hostile pickle makes of the stand-ins
        return None
    if not isinstance(content, dict):
        return None
    return {name: sized.shape for name, sized in named_tensors(content, _Sized)}, named_texts(content)


class _Unpickler(pickle.Unpickler):
    """With stand-ins of its own: a pickle may leave its marks on what it was handed, and no other file is to see them."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)

        class Nothing:
            def __new__(cls, *_arguments: Any) -> Nothing:
                return super().__new__(cls)

            def __setstate__(self, state: Any) -> None:
                pass

        class Kept(Table):
            pass

        def tensor(_storage: Any, _offset: Any, size: Any, *_rest: Any) -> _Sized:
            return _Sized(tuple(map(int, size)))

        def parameter(data: Any, *_rest: Any) -> Any:
            return data

        self._nothing = Nothing
        self._stand_ins = {
            "collections OrderedDict": OrderedDict,
            "torch Size": tuple,
            "torch._utils _rebuild_tensor": tensor,
            "torch._utils _rebuild_tensor_v2": tensor,
            "torch._utils _rebuild_parameter": parameter,
            "torch._utils _rebuild_parameter_with_state": parameter,
            **dict.fromkeys(STAND_IN_TABLES, Kept),
        }

    def find_class(self, module: str, name: str) -> Any:
        return self._stand_ins.get(f"{module} {name}", self._nothing)

    def persistent_load(self, _storage: Any) -> None:
        """The numbers lie elsewhere in the file, and are not wanted."""
