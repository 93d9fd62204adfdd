"""Messages of ``POST /workflows/convert``."""

from __future__ import annotations

from typing import Any

from gpu_runner.protocol.request_parts.values import StrictModel


class EditorFile(StrictModel):
    """Body of the request: a workflow as ComfyUI's editor saves it."""

    workflow: dict[str, Any]


class Converted(StrictModel):
    """Response: the graph in API format, or the reason why the server's nodes do not suffice to convert the file."""

    graph: dict[str, Any] = {}
    problem: str = ""
