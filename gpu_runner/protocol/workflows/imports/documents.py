"""Parsing of files that contain a ComfyUI workflow: an API export, a body of ``POST /prompt``, or an editor file."""

from __future__ import annotations

import json
from typing import Any

from gpu_runner.protocol.workflows.slots import unwrapped

from .editor_format import is_editor_format

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 60


class NoWorkflow(ValueError):
    """The file contains no workflow; the message says what was found."""


def read_document(text: str) -> dict[str, Any]:
    """Return the workflow in a text: a graph in API format, or a file of the editor. Raises NoWorkflow."""
    if len(text) > MAX_BYTES:
        raise NoWorkflow(f"the workflow must have at most {MAX_BYTES >> 20} MB")
    try:
        # PNG files of ComfyUI contain NaN, which is no JSON and which no input of a graph has.
        document = json.loads(text, parse_constant=lambda _name: None)
    except RecursionError:
        raise NoWorkflow("the workflow is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise NoWorkflow(
            f"this is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError:
        raise NoWorkflow("this is not JSON: a number is too long") from None
    return workflow_of(document)


def workflow_of(document: Any) -> dict[str, Any]:
    """Return the workflow in a parsed file. Raises NoWorkflow."""
    if _depth(document) > MAX_DEPTH:
        raise NoWorkflow("the workflow is nested too deeply")
    graph = unwrapped(document)
    if not isinstance(graph, dict) or not graph:
        raise NoWorkflow("a workflow is a JSON object with nodes")
    try:
        stored = json.dumps(graph, ensure_ascii=False, allow_nan=False)
        stored.encode()
    except ValueError:  # infinite numbers, halves of characters
        raise NoWorkflow("a value of the workflow cannot be stored") from None
    if "\\u0000" in stored:
        raise NoWorkflow("a text of the workflow contains a null character")
    if is_editor_format(graph):
        return graph
    if not all(isinstance(node, dict) and "class_type" in node for node in graph.values()):
        raise NoWorkflow("this is no workflow of ComfyUI: nodes of an API export have a class_type")
    return graph


def _depth(value: Any) -> int:
    """Levels of nesting, at most ``MAX_DEPTH`` + 1."""
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        inner = [
            one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)
        ]
        level = [one for values in inner for one in values]
    return depth
