"""Walks over graphs in API format that are not validated yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpu_runner.protocol.workflows.template import is_link

Graph = dict[str, Any]


def inputs_of(node: Any) -> dict[str, Any]:
    """Return the inputs of a node; empty if it has none."""
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def upstream(graph: Graph, start: str) -> Iterator[str]:
    """Yield the node and all that it depends on, nearest first."""
    queue, seen = [start], {start}
    for key in queue:
        yield key
        for origin in _origins(graph, key):
            if origin not in seen:
                seen.add(origin)
                queue.append(origin)


def depth_first(graph: Graph, start: str) -> Iterator[str]:
    """Yield the node and all that it depends on, each before what later inputs depend on."""
    stack, seen = [start], set()
    while stack:
        key = stack.pop()
        if key not in seen:
            seen.add(key)
            yield key
            stack += reversed(_origins(graph, key))


def _origins(graph: Graph, key: str) -> list[str]:
    return [value[0] for value in inputs_of(graph[key]).values() if is_link(value) and value[0] in graph]
