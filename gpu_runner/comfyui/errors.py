"""Errors of a job, as they are reported to clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpu_runner.comfyui.client import Rejected
from gpu_runner.imaging.images import InvalidImage
from gpu_runner.protocol import ErrorCode, Workflow
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.workflows.requirements import is_model_file

from .graph import MissingModel
from .prompt_execution import Cancelled, NodeExecutionError, NotQueued, PromptLost


def for_client(error: Exception) -> tuple[ErrorCode, str]:
    """Return error code and message. The server's messages are left out: they contain paths and file lists."""
    match error:
        case Cancelled():
            return "cancelled", "cancelled"
        case PromptLost():
            return "lost", str(error)
        case NotQueued():
            return "busy", "ComfyUI does not respond"
        case MissingModel():
            return "model_unavailable", str(error)
        case InvalidRequest() | InvalidImage():
            return "bad_request", str(error)
        case Rejected():
            return _rejection(error.body)
        case NodeExecutionError() if error.out_of_memory:
            return "out_of_memory", "out of memory on the ComfyUI server: use a smaller size"
        case NodeExecutionError() if is_loader(error.node_type):
            return "model_unavailable", f"ComfyUI could not load the model of the node {error.node_type}"
        case NodeExecutionError():
            return "internal", f"ComfyUI failed in the node {error.node_type} ({error.exception_type})"
    return "internal", "internal error of the runner"


def _rejection(body: dict[str, Any]) -> tuple[ErrorCode, str]:
    """Return code and message of a rejected prompt: node, input, and ComfyUI's general message."""
    for key, class_type, field, problem in _rejected_inputs(body):
        value = (problem.get("extra_info") or {}).get("received_value")
        names_model = is_loader(class_type) or is_model_file(value)
        code: ErrorCode = "model_unavailable" if names_model else "bad_request"
        reason = str(problem.get("message", ""))[:100]
        return code, f"ComfyUI rejected the input {field} of node {key} ({class_type}): {reason}"
    kind = str((body.get("error") or {}).get("type", ""))[:100]
    if kind in MISSING_NODE:
        return "model_unavailable", "ComfyUI does not have a node class of the workflow"
    return "bad_request", f"ComfyUI rejected the workflow{f' ({kind})' if kind else ''}"


def is_loader(class_type: str) -> bool:
    """Whether a node loads models. The names of all usual loaders say so, those of node packs too."""
    return "Loader" in class_type


def is_of_workflow(error: Exception, workflow: Workflow) -> bool:
    """Whether the template itself does not fit the server: a node or an input that no slot fills in."""
    filled = {(target.node, target.input) for slot in workflow.slots for target in workflow.targets(slot)}
    match error:
        case MissingModel():
            return error.of_workflow
        case NodeExecutionError():
            return error.node in workflow.graph and error.node not in {node for node, _input in filled}
        case Rejected():
            inputs = [(key, field) for key, _class, field, _problem in _rejected_inputs(error.body)]
            if not inputs:
                return str((error.body.get("error") or {}).get("type", "")) in MISSING_NODE
            return all(key in workflow.graph and (key, field) not in filled for key, field in inputs)
    return False


# The second one is that of older servers.
MISSING_NODE = ("missing_node_type", "invalid_prompt")


def _rejected_inputs(body: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield (node, class, input, problem) of every rejected input."""
    for key, node in (body.get("node_errors") or {}).items():
        for problem in node.get("errors") or []:
            field = (problem.get("extra_info") or {}).get("input_name", "")
            yield str(key), str(node.get("class_type")), str(field), problem
