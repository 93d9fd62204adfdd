"""Downloads of a prompt's outputs from the server."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from gpu_runner.comfyui.client import MAX_OUTPUT_BYTES, ComfyClient, OutputTooLarge, Rejected, ServerTimeout
from gpu_runner.protocol.errors import InvalidRequest

from . import outputs
from .prompt_execution import PromptLost


@dataclass(frozen=True)
class Download:
    """Bytes of an output, and of an image that shows it, if the server has saved one."""

    data: bytes
    poster: bytes = b""


@dataclass(frozen=True)
class Downloads:
    """Reads outputs. A server that does not respond is asked again for ``timeout_s``."""

    client: ComfyClient
    timeout_s: float

    def of(self, result: dict[str, Any] | bytes) -> Download:
        """Return an output: a file of the server, or bytes that it has sent. Raises InvalidRequest or PromptLost."""
        if isinstance(result, bytes):
            return Download(result)
        poster = outputs.poster_of(result)
        return Download(self._view(*outputs.location(result)), self._view_if_there(poster) if poster else b"")

    def saved(self, prefix: str, class_type: str) -> Download:
        """Return the first output with a prefix if it was saved before the server lost the prompt. Raises PromptLost."""
        folder, _slash, name = prefix.partition("/")
        saved = outputs.SAVED_NAMES.get(class_type)
        data = self._view_if_there((saved.format(name), folder, "output")) if saved else b""
        if not data:
            raise PromptLost("ComfyUI restarted or stopped responding, and lost the prompt")
        return Download(data)

    def _view(self, *location: str) -> bytes:
        deadline = time.monotonic() + self.timeout_s
        while True:
            try:
                return self.client.view(*location)
            except OutputTooLarge as error:
                limit = MAX_OUTPUT_BYTES // 2**20
                raise InvalidRequest(f"the output of the workflow is larger than {limit} MiB") from error
            except Rejected as error:
                raise PromptLost("the output was deleted on the ComfyUI server") from error
            except ServerTimeout as error:
                if time.monotonic() >= deadline:
                    raise PromptLost("ComfyUI stopped responding") from error
                time.sleep(min(1.0, self.timeout_s / 4))

    def _view_if_there(self, location: tuple[str, str, str]) -> bytes:
        try:
            return self.client.view(*location)
        except (ServerTimeout, Rejected, OutputTooLarge):
            return b""
