"""The part of ``/object_info`` that the adapter needs: large servers describe thousands of nodes in tens of megabytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpu_runner.protocol import FileList
from gpu_runner.protocol.workflows.requirements import is_model_file
from gpu_runner.protocol.workflows.server_check import choices

Nodes = Mapping[str, Any]
EDITOR_OPTIONS = ("forceInput", "control_after_generate")


def reduced(object_info: Mapping[str, Any]) -> dict[str, Any]:
    """Return classes with the types and options of their inputs. Equal lists of options are stored once."""
    lists: dict[tuple[Any, ...], list[Any]] = {}
    return {str(name): _node(info, lists) for name, info in object_info.items() if isinstance(info, dict)}


def _node(info: dict[str, Any], lists: dict[tuple[Any, ...], list[Any]]) -> dict[str, Any]:
    given = info.get("input")
    parts = given if isinstance(given, dict) else {}
    inputs = {
        part: {str(name): _spec(spec, lists) for name, spec in parts[part].items()}
        for part in ("required", "optional")
        if isinstance(parts.get(part), dict)
    }
    output = info.get("output")
    return {
        "input": inputs,
        "output": output if isinstance(output, list) else [],
        "output_node": bool(info.get("output_node")),
    }


def _spec(spec: Any, lists: dict[tuple[Any, ...], list[Any]]) -> list[Any]:
    options = choices(spec)
    if options is not None:
        key = tuple(str(option) for option in options)
        return [lists.setdefault(key, options), _kept(spec)]
    return [str(spec[0]), _kept(spec)] if isinstance(spec, list) and spec else [""]


def _kept(spec: list[Any]) -> dict[str, bool]:
    """Options that decide how the editor's files store the values of a node."""
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    return {name: True for name in EDITOR_OPTIONS if options.get(name)}


def file_lists(nodes: Nodes) -> tuple[FileList, ...]:
    """Return the lists of model files that nodes offer, with the inputs that share each list.

    An input with an empty list counts: its folder has no file.
    """
    inputs_of: dict[tuple[str, ...], list[str]] = {}
    for class_type, info in sorted(nodes.items()):
        for name, options in _choice_inputs(info):
            if not options or any(map(is_model_file, options)):
                files = tuple(option for option in options if isinstance(option, str))
                inputs_of.setdefault(files, []).append(f"{class_type}.{name}")
    return tuple(FileList(inputs=tuple(inputs), files=files) for files, inputs in inputs_of.items())


def _choice_inputs(info: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    for specs in info["input"].values():
        for name, spec in specs.items():
            options = choices(spec)
            if options is not None:
                yield name, options
