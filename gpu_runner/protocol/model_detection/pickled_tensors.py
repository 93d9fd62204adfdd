"""Finds the tensors in the content of a pickled model file. Shared by the scan, which sees shapes only, and the runner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
PICKLED_SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin"})
# The first key that is found is used: EMA weights take precedence over raw ones.
STATE_DICT_KEYS = ("state_dict", "params_ema", "params")


class PickledObject:
    """Stand-in for classes of other libraries that released files refer to. Only keeps their state."""

    def __setstate__(self, state: Any) -> None:
        self.state_dict = state if isinstance(state, dict) else {}


def named_tensors(content: Mapping[Any, Any], tensor: type[T]) -> Iterator[tuple[str, T]]:
    """Yield (name, tensor) from the top-level dict or from its state dict. ``tensor`` is the type of a tensor.

    The parameters of a textual inversion have names starting with ``string_to_param.``.
    """
    state = next((content[name] for name in STATE_DICT_KEYS if isinstance(content.get(name), dict)), content)
    for key, value in state.items():
        if isinstance(key, str) and isinstance(value, tensor):
            yield key, value
    for key, value in _parameters(content.get("string_to_param")).items():
        if isinstance(value, tensor):
            yield f"string_to_param.{key}", value


def named_texts(content: Mapping[Any, Any]) -> dict[str, str]:
    """Return the strings at the top level of the file, its metadata."""
    return {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, str)}


def _parameters(table: Any) -> Mapping[Any, Any]:
    """Return the parameters of a textual inversion. The oldest files keep them in a ParameterDict."""
    if isinstance(table, PickledObject):
        table = table.state_dict.get("_parameters")
    return table if isinstance(table, dict) else {}
