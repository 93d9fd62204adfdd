"""Validation of a template against the nodes of a ComfyUI server (``/object_info``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .template import Workflow, is_link

MAX_SHOWN = 5


def choices(spec: Any) -> list[Any] | None:
    """Return the options of a choice input, or None for other inputs.

    ComfyUI has two formats: ``[["a", "b"], {}]`` and ``["COMBO", {"options": [...]}]``.
    """
    if not isinstance(spec, list) or not spec:
        return None
    if isinstance(spec[0], list):
        return spec[0]
    if spec[0] == "COMBO" and len(spec) > 1 and isinstance(spec[1], dict):
        options = spec[1].get("options")
        return options if isinstance(options, list) else None
    return None


def problems(workflow: Workflow, object_info: Mapping[str, Any]) -> Iterator[str]:
    """Yield missing nodes and inputs, links to outputs that do not exist, and options that the server does not have."""
    slot_targets = {text for targets in workflow.slots.values() for text in targets}
    for key, node in workflow.graph.items():
        info = object_info.get(node.class_type)
        if info is None:
            yield f"node {key}: this ComfyUI does not have the node class {node.class_type}"
            continue
        inputs = info.get("input", {})
        required, optional = inputs.get("required", {}), inputs.get("optional", {})
        for name in required:
            if name not in node.inputs:
                yield f"node {key} ({node.class_type}): the input {name} is missing"
        for name, value in node.inputs.items():
            spec = required.get(name, optional.get(name))
            known = choices(spec)
            if is_link(value):
                yield from _link_problems(workflow, object_info, key, name, value)
            elif known is not None and f"{key}.{name}" not in slot_targets and value not in known:
                yield f"node {key} ({node.class_type}): {name} must be an option of this ComfyUI (got {value!r})"
    for slot, targets in workflow.slots.items():
        for text in targets:
            node_key, _dot, name = text.rpartition(".")
            if node_key in workflow.graph and not _has_input(workflow, object_info, node_key, name):
                yield f"slot {slot}: node {node_key} has no input {name} on this ComfyUI"


def _has_input(workflow: Workflow, object_info: Mapping[str, Any], key: str, name: str) -> bool:
    info = object_info.get(workflow.graph[key].class_type)
    if info is None:  # reported above
        return True
    inputs = info.get("input", {})
    return any(name in inputs.get(part, {}) for part in ("required", "optional"))


def _link_problems(
    workflow: Workflow, object_info: Mapping[str, Any], key: str, name: str, link: list[Any]
) -> Iterator[str]:
    target = workflow.graph.get(link[0])
    outputs = object_info.get(target.class_type, {}).get("output") if target else None
    if outputs is not None and not 0 <= link[1] < len(outputs):
        yield (
            f"node {key}: the input {name} is linked to output {link[1]} of node {link[0]},"
            f" which has {len(outputs)} outputs"
        )
