"""Validation of a template against the nodes of a ComfyUI server (``/object_info``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .requirements import is_model_file
from .template import Target, Workflow, is_link

MAX_SHOWN = 5
# Types of inputs that a graph writes in parts, such as ``images.image0`` or ``resize_type.width``.
DYNAMIC_TYPES = ("COMFY_AUTOGROW", "COMFY_DYNAMIC")


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
    slot_targets = {target[:2] for slot in workflow.slots for target in workflow.targets(slot)}
    for key, node in workflow.graph.items():
        info = object_info.get(node.class_type)
        if info is None:
            yield f"node {key}: this ComfyUI does not have the node class {node.class_type}"
            continue
        inputs = info.get("input", {})
        required, optional = inputs.get("required", {}), inputs.get("optional", {})
        for name, spec in required.items():
            if name not in node.inputs and not is_dynamic(spec):
                yield f"node {key} ({node.class_type}): the input {name} is missing"
        for name, value in node.inputs.items():
            spec = required.get(name, optional.get(name))
            known = choices(spec)
            if is_link(value):
                yield from _link_problems(workflow, object_info, key, name, value)
            elif known is not None and (key, name) not in slot_targets and value not in known:
                if is_model_file(value):
                    yield f"node {key} ({node.class_type}): this ComfyUI lacks the file {value}"
                else:
                    yield f"node {key} ({node.class_type}): {name} must be an option of this ComfyUI (got {value!r})"
    for slot, targets in workflow.slots.items():
        for target in (Target.read(text, workflow.graph) for text in targets):
            if target.input and not _has_input(workflow, object_info, target):
                yield f"slot {slot}: node {target.node} has no input {target.input} on this ComfyUI"


def is_dynamic(spec: Any) -> bool:
    """Whether a graph writes the input in parts, whose names begin with that of the input and a dot."""
    return (
        isinstance(spec, list)
        and bool(spec)
        and isinstance(spec[0], str)
        and spec[0].startswith(DYNAMIC_TYPES)
    )


def _has_input(workflow: Workflow, object_info: Mapping[str, Any], target: Target) -> bool:
    node = workflow.graph.get(target.node)
    info = object_info.get(node.class_type) if node else None
    if info is None:  # reported elsewhere
        return True
    inputs = info.get("input", {})
    known = {**inputs.get("required", {}), **inputs.get("optional", {})}
    return target.input in known or is_dynamic(known.get(target.input.partition(".")[0]))


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
