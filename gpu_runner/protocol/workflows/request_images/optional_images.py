"""Takes the nodes of images that a request does not send out of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpu_runner.protocol.workflows.graph_builder import Graph
from gpu_runner.protocol.workflows.template import is_link


def without_nodes(graph: Graph, removed: set[str], object_info: Mapping[str, Any]) -> Graph:
    """Return the graph without the nodes ``removed``, and without all that cannot do without them.

    An input that the server describes as optional is left out; a node that requires the input goes, too, and so on.
    """
    kept = {
        key: {**node, "inputs": dict(node["inputs"])} for key, node in graph.items() if key not in removed
    }
    while True:
        lacking = {
            (key, name)
            for key, node in kept.items()
            for name, value in node["inputs"].items()
            if is_link(value) and value[0] not in kept
        }
        if not lacking:
            return kept
        for key, name in lacking:
            info = object_info.get(kept[key]["class_type"]) if key in kept else None
            if info is not None and name in info.get("input", {}).get("required", {}):
                del kept[key]
            elif key in kept:
                del kept[key]["inputs"][name]
