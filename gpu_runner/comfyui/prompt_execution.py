"""One prompt on its way through the server: queued, watched, cancelled, and what became of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gpu_runner.comfyui.client import ComfyClient, Rejected, ServerTimeout, ServerUnreachable
from gpu_runner.protocol.workflows.graph_builder import Graph

from .progress_socket import ProgressMessage, ProgressSocket

log = logging.getLogger(__name__)

POLL_S = 1.0
OnProgress = Callable[[int, bytes | None], None]


class PromptLost(Exception):
    """The server forgot the prompt, or is silent: the job belongs back into the queue."""


class Cancelled(Exception):
    """Somebody interrupted the prompt: we, or another client of the server."""


class NotQueued(Exception):
    """It could not even be asked."""


class NodeExecutionError(Exception):
    """A node failed. Only what is fit for the client's eyes is kept of what it said."""

    def __init__(self, node_type: str, exception_type: str, out_of_memory: bool) -> None:
        super().__init__(f"{node_type}: {exception_type}")
        self.node_type = node_type
        self.exception_type = exception_type.rpartition(".")[2]
        self.out_of_memory = out_of_memory


@dataclass(frozen=True)
class Outcome:
    pictures: tuple[dict[str, Any], ...]  # of the output node, as /view wants them
    cached: frozenset[str] = frozenset()  # nodes that did not run again
    seconds: float = 0.0


@dataclass
class PromptRun:
    client: ComfyClient
    ear: ProgressSocket
    graph: Graph
    prompt_id: str
    client_id: str
    output_node: str
    steps: dict[str, int]  # of the nodes whose steps are counted
    patience_s: float
    stopping: Callable[[], bool]
    on_progress: OnProgress
    _done: dict[str, int] = field(default_factory=dict)
    _asked_to_stop_at: float = 0.0
    _answered_at: float = 0.0
    _absent: int = 0

    def run(self) -> Outcome:
        """Raises NotQueued, Rejected, Lost, Cancelled or Broke."""
        self._post()
        self._answered_at = time.monotonic()
        next_poll = time.monotonic() + POLL_S
        while True:
            if self.stopping():
                self._stop()
            heard = self.ear.next(next_poll - time.monotonic())
            ended = heard is not None and self._take(heard)
            if ended or time.monotonic() >= next_poll:
                next_poll = time.monotonic() + POLL_S
                outcome = self._poll()
                if outcome is not None:
                    return outcome

    def _post(self) -> None:
        """A post whose answer got lost is looked for before it is made again."""
        give_up = time.monotonic() + self.patience_s
        while True:
            try:
                self.client.queue(self.graph, self.prompt_id, self.client_id)
                return
            except ServerUnreachable as error:
                if time.monotonic() >= give_up:
                    raise NotQueued(str(error)) from error
            except ServerTimeout as error:
                if self._is_known(give_up):
                    return
                if time.monotonic() >= give_up:
                    raise NotQueued(str(error)) from error
            if self.stopping():
                raise Cancelled
            time.sleep(min(POLL_S, self.patience_s / 4))

    def _is_known(self, give_up: float) -> bool:
        while True:
            try:
                return self.client.holds(self.prompt_id) or self.client.outcome(self.prompt_id) is not None
            except (ServerTimeout, Rejected) as error:
                if time.monotonic() >= give_up:
                    raise PromptLost("ComfyUI stopped answering") from error
                time.sleep(min(POLL_S, self.patience_s / 4))

    # Watching ----------------------------------------------------------------------------------------------------

    def _take(self, heard: ProgressMessage) -> bool:
        """True for the frame that ends a prompt."""
        if heard.data.get("prompt_id", self.prompt_id) != self.prompt_id:
            return False
        if heard.type == "progress":
            self._progress(str(heard.data.get("node")), heard.data.get("value"), heard.data.get("max"))
        elif heard.type == "preview":
            self.on_progress(self.steps_done, heard.picture)
        return heard.type == "executing" and "prompt_id" in heard.data and heard.data.get("node") is None

    def _progress(self, node: str, value: Any, most: Any) -> None:
        if node not in self.steps or not isinstance(value, int | float) or not isinstance(most, int | float):
            return
        share = min(1.0, value / most) if most > 0 else 0.0
        self._done[node] = max(self._done.get(node, 0), int(share * self.steps[node]))
        self.on_progress(self.steps_done, None)

    @property
    def steps_done(self) -> int:
        return sum(self._done.values())

    def _poll(self) -> Outcome | None:
        """The history is the truth. It says nothing of what waits or runs, and after a restart of nothing at all."""
        try:
            known = self.client.outcome(self.prompt_id)
            if known is None and not self.client.holds(self.prompt_id):
                known = self.client.outcome(self.prompt_id)  # it may have ended between the two calls
                self._absent += known is None
            else:
                self._absent = 0
        except (ServerTimeout, Rejected) as error:
            if time.monotonic() - self._answered_at > self.patience_s:
                raise PromptLost("ComfyUI stopped answering") from error
            return None
        self._answered_at = time.monotonic()
        if known is not None:
            return self._outcome(known)
        if self._absent > 1:
            if self._asked_to_stop_at:  # deleted while it waited: that leaves no trace
                raise Cancelled
            raise PromptLost("ComfyUI restarted and forgot the prompt")
        return None

    def _outcome(self, known: dict[str, Any]) -> Outcome:
        status = known.get("status") or {}
        messages = [message for message in status.get("messages") or [] if len(message) == 2]
        if status.get("status_str") != "success":
            raise _failure(messages)
        output = (known.get("outputs") or {}).get(self.output_node) or {}
        cached: list[Any] = next(
            (data.get("nodes", []) for kind, data in messages if kind == "execution_cached"), []
        )
        return Outcome(tuple(output.get("images") or ()), frozenset(map(str, cached)), _seconds(messages))

    # Cancelling --------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Out of the queue first, then out of the sampler: in this order it cannot slip through. An interrupt may get lost."""
        if time.monotonic() - self._asked_to_stop_at < POLL_S:
            return
        self._asked_to_stop_at = time.monotonic()
        try:
            self.client.remove(self.prompt_id)
            self.client.interrupt(self.prompt_id)
        except (ServerTimeout, Rejected) as error:
            log.warning("prompt %s could not be cancelled yet: %s", self.prompt_id, error)


def _failure(messages: list[Any]) -> Exception:
    kind, data = messages[-1] if messages else ("", {})
    if kind == "execution_interrupted":
        return Cancelled()
    said = str(data.get("exception_message", ""))
    exception_type = str(data.get("exception_type", "an unknown error"))
    out_of_memory = "OutOfMemory" in exception_type or "out of memory" in said.lower()
    return NodeExecutionError(str(data.get("node_type", "?"))[:100], exception_type[:100], out_of_memory)


def _seconds(messages: list[Any]) -> float:
    times = [data.get("timestamp") for _kind, data in messages if isinstance(data.get("timestamp"), int)]
    return max(0.0, (times[-1] - times[0]) / 1000) if len(times) > 1 else 0.0
