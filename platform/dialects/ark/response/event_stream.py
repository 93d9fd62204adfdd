"""The answer of a request with ``stream``: server-sent events, one per image, and one at the end.

The outputs of a job are stored together, so that their events come together. Those of failed images come last: the
vendor's Python client raises an exception at the first of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dialects.job_stream import JobStream, StreamSlot, sse_event
from jobs.models import Job

from .outcome import Slot, heading_of, slots_of, usage_of
from .unfinished import give_up

DONE = "[DONE]"


class ImageEvents(JobStream):
    def __init__(self, job: Job, slot: StreamSlot, base_url: str, *, can_be_repeated: bool) -> None:
        super().__init__(job, slot)
        self._base_url, self._can_be_repeated = base_url, can_be_repeated

    def close(self) -> None:
        """Also cancels a job whose client has gone, and could not ask for it again."""
        super().close()
        if not self.job.is_terminal:
            give_up(self.job, can_be_repeated=self._can_be_repeated)

    def on_end(self) -> Iterator[str]:
        if self.job.is_terminal:
            yield from self._results()
        else:
            error = give_up(self.job, can_be_repeated=self._can_be_repeated)
            yield sse_event({"error": error.as_json()}, "error")
        yield sse_event(DONE)

    def _results(self) -> Iterator[str]:
        slots = slots_of(self.job, self._base_url)
        for slot in sorted(slots, key=lambda slot: slot.error is not None):
            yield self._event(*_of_image(slot))
        yield self._event("completed", {"usage": usage_of(self.job, slots)})

    def _event(self, name: str, fields: dict[str, Any]) -> str:
        kind = f"image_generation.{name}"
        return sse_event({"type": kind, **heading_of(self.job), **fields}, kind)


def _of_image(slot: Slot) -> tuple[str, dict[str, Any]]:
    index = {"image_index": slot.index}
    if slot.content is None:
        return "partial_failed", index | {"error": slot.error_json}
    return "partial_succeeded", index | slot.content
