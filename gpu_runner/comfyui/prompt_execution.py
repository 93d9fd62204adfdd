"""Execution of one prompt on the server: queue it, follow its progress, cancel it, and read the outcome."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gpu_runner.comfyui.client import ComfyClient, Rejected, ServerTimeout, ServerUnreachable
from gpu_runner.protocol import Workflow
from gpu_runner.protocol.workflows.graph_builder import Graph
from gpu_runner.protocol.workflows.template import SOCKET_NODE

from . import outputs
from .progress_socket import ProgressMessage, ProgressSocket
from .step_counter import StepCounter

log = logging.getLogger(__name__)

POLL_S = 1.0
DRAIN_S = 1.0  # for messages on their way when the history has the end of the prompt already
MAX_SOCKET_IMAGES = 64
OnProgress = Callable[[bytes | None], None]
Result = dict[str, Any] | bytes  # parameters of /view, or an image that came through the socket


class PromptLost(Exception):
    """The server does not respond or no longer has the prompt. The job can be requeued."""


class Cancelled(Exception):
    """The prompt was interrupted, by this adapter or by another client of the server, after ``seconds``."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__("cancelled")
        self.seconds = seconds


class NotQueued(Exception):
    """The prompt could not be queued."""


class NodeExecutionError(Exception):
    """A node raised an exception. Its message is not kept, because it must not be shown to clients."""

    def __init__(self, node: str, node_type: str, exception_type: str, out_of_memory: bool) -> None:
        super().__init__(f"{node_type}: {exception_type}")
        self.node = node  # its key in the graph
        self.node_type = node_type
        self.exception_type = exception_type.rpartition(".")[2]
        self.out_of_memory = out_of_memory


@dataclass(frozen=True)
class Outcome:
    """Outcome of a successful prompt."""

    results: tuple[Result, ...]  # of the output nodes, in their order
    extras: tuple[Result, ...] = ()  # of the nodes whose images are stored beside them
    cached: frozenset[str] = frozenset()  # nodes whose results were cached
    seconds: float = 0.0


@dataclass
class PromptRun:
    """Runs one prompt. ``stopping`` is polled; ``on_progress`` is called after each step, and with each preview."""

    client: ComfyClient
    progress_socket: ProgressSocket
    graph: Graph
    prompt_id: str
    client_id: str
    workflow: Workflow
    counter: StepCounter
    timeout_s: float
    stopping: Callable[[], bool]
    on_progress: OnProgress
    _stop_sent_at: float = 0.0
    _responded_at: float = 0.0
    _absent: int = 0
    _running_node: str = ""
    _sent: dict[str, list[bytes]] = field(default_factory=dict)  # images of the socket's output nodes

    def run(self) -> Outcome:
        """Run the prompt to its end. Raises NotQueued, Rejected, PromptLost, Cancelled or NodeExecutionError."""
        self._post()
        self._responded_at = time.monotonic()
        next_poll = time.monotonic() + POLL_S
        while True:
            if self.stopping():
                self._stop()
            message = self.progress_socket.next(next_poll - time.monotonic())
            ended = message is not None and self._handle(message)
            if ended or time.monotonic() >= next_poll:
                next_poll = time.monotonic() + POLL_S
                outcome = self._poll()
                if outcome is not None:
                    return outcome

    def _post(self) -> None:
        """Queue the prompt, with retries. After a timeout, look the prompt up before the retry."""
        deadline = time.monotonic() + self.timeout_s
        while True:
            try:
                self.client.queue(self.graph, self.prompt_id, self.client_id)
                return
            except ServerUnreachable as error:
                if time.monotonic() >= deadline:
                    raise NotQueued(str(error)) from error
            except ServerTimeout as error:
                if self._is_known(deadline):
                    return
                if time.monotonic() >= deadline:
                    raise NotQueued(str(error)) from error
            if self.stopping():
                raise Cancelled
            time.sleep(min(POLL_S, self.timeout_s / 4))

    def _is_known(self, deadline: float) -> bool:
        while True:
            try:
                return (
                    self.client.is_queued_or_running(self.prompt_id)
                    or self.client.outcome(self.prompt_id) is not None
                )
            except (ServerTimeout, Rejected) as error:
                if time.monotonic() >= deadline:
                    raise PromptLost("ComfyUI stopped responding") from error
                time.sleep(min(POLL_S, self.timeout_s / 4))

    # Progress ----------------------------------------------------------------------------------------------------

    def _handle(self, message: ProgressMessage) -> bool:
        """Report progress. Returns True for the message that ends the prompt."""
        if message.data.get("prompt_id", self.prompt_id) != self.prompt_id:
            return False
        if message.type == "progress":
            node, value, maximum = (message.data.get(name) for name in ("node", "value", "max"))
            if self.counter.progress(str(node), value, maximum):
                self.on_progress(None)
        elif message.type == "executing":
            self._running_node = str(message.data.get("node"))
        elif message.type == "preview":
            if sender := self._output_node_of(message):
                self._sent.setdefault(sender, []).append(message.image)
            else:
                self.on_progress(message.image)
        return (
            message.type == "executing" and "prompt_id" in message.data and message.data.get("node") is None
        )

    def _output_node_of(self, message: ProgressMessage) -> str:
        """The node whose output an image is: a PNG file, where previews are JPEG files. Empty for a preview."""
        node = str(message.data.get("node_id", self._running_node))
        sends = self.graph.get(node, {}).get("class_type") == SOCKET_NODE
        is_output = sends and message.data.get("image_type") == "image/png"
        return node if is_output and len(self._sent.get(node, ())) < MAX_SOCKET_IMAGES else ""

    def _results_of(self, nodes: list[str], known: dict[str, Any]) -> tuple[Result, ...]:
        """Return what these nodes saved or sent, in the order of the nodes, then of their lists."""
        found: list[Result] = []
        for node in nodes:
            if self.graph[node]["class_type"] != SOCKET_NODE:
                found += outputs.files_of(known, node)
                continue
            if node not in self._sent:
                self._drain()
            if node not in self._sent:
                raise PromptLost("the connection to ComfyUI was lost while it sent the image")
            found += self._sent[node]
        return tuple(found)

    def _drain(self) -> None:
        """Take the messages that were sent before the end and are still on their way."""
        while message := self.progress_socket.next(DRAIN_S):
            if self._handle(message):
                return

    def _poll(self) -> Outcome | None:
        """Return the outcome, or None while the prompt is queued or running. Raises as ``run``.

        The history has ended prompts only, and is empty after a restart of the server.
        """
        try:
            known = self.client.outcome(self.prompt_id)
            if known is None and not self.client.is_queued_or_running(self.prompt_id):
                known = self.client.outcome(self.prompt_id)  # it may have ended between the two requests
                self._absent += known is None
            else:
                self._absent = 0
        except (ServerTimeout, Rejected) as error:
            if time.monotonic() - self._responded_at > self.timeout_s:
                raise PromptLost("ComfyUI stopped responding") from error
            return None
        self._responded_at = time.monotonic()
        if known is not None:
            return self._outcome(known)
        if self._absent > 1:
            if self._stop_sent_at:  # removed from the queue, which leaves no history entry
                raise Cancelled
            raise PromptLost("ComfyUI restarted and lost the prompt")
        return None

    def _outcome(self, known: dict[str, Any]) -> Outcome:
        status = known.get("status") or {}
        messages = [message for message in status.get("messages") or [] if len(message) == 2]
        if status.get("status_str") != "success":
            raise _failure(messages)
        cached: list[Any] = next(
            (data.get("nodes", []) for kind, data in messages if kind == "execution_cached"), []
        )
        return Outcome(
            results=self._results_of(self.workflow.output_nodes, known),
            extras=self._results_of(self.workflow.extra_nodes, known),
            cached=frozenset(map(str, cached)),
            seconds=_seconds(messages),
        )

    # Cancelling --------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Cancel the prompt on the server.

        Repeated every POLL_S seconds, because an interrupt may be lost.
        """
        if time.monotonic() - self._stop_sent_at < POLL_S:
            return
        self._stop_sent_at = time.monotonic()
        try:
            self.client.cancel(self.prompt_id)
        except (ServerTimeout, Rejected) as error:
            log.warning("could not cancel prompt %s: %s", self.prompt_id, error)


def _failure(messages: list[Any]) -> Exception:
    kind, data = messages[-1] if messages else ("", {})
    if kind == "execution_interrupted":
        return Cancelled(_seconds(messages))
    text = str(data.get("exception_message", ""))
    exception_type = str(data.get("exception_type", "an unknown error"))
    out_of_memory = "OutOfMemory" in exception_type or "out of memory" in text.lower()
    node = str(data.get("node_id", ""))
    return NodeExecutionError(
        node, str(data.get("node_type", "?"))[:100], exception_type[:100], out_of_memory
    )


def _seconds(messages: list[Any]) -> float:
    times = [data.get("timestamp") for _kind, data in messages if isinstance(data.get("timestamp"), int)]
    return max(0.0, (times[-1] - times[0]) / 1000) if len(times) > 1 else 0.0
