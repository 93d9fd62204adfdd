"""Where a pickled file keeps its tensors: the same answer for the scan, which sees their shapes alone, and for the runner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
TABLES = ("state_dict", "params_ema", "params")  # the first found; averaged weights before the last ones


class Table:
    """Stands for the classes of other libraries that released files name. It only keeps what they kept."""

    def __setstate__(self, state: Any) -> None:
        self.kept = state if isinstance(state, dict) else {}


def named_tensors(content: Mapping[Any, Any], tensor: type[T]) -> Iterator[tuple[str, T]]:
    """Those of the table itself, or of the one inside of it that bears the name which tools give it."""
    state = next((content[name] for name in TABLES if isinstance(content.get(name), dict)), content)
    for key, value in state.items():
        if isinstance(key, str) and isinstance(value, tensor):
            yield key, value
    for key, value in _parameters(content.get("string_to_param")).items():
        if isinstance(value, tensor):
            yield f"string_to_param.{key}", value


def named_texts(content: Mapping[Any, Any]) -> dict[str, str]:
    """What such a file says of itself."""
    return {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, str)}


def _parameters(table: Any) -> Mapping[Any, Any]:
    """A textual inversion's, whose oldest files kept them in a module."""
    if isinstance(table, Table):
        table = table.kept.get("_parameters")
    return table if isinstance(table, dict) else {}
