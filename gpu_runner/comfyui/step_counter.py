"""Counts the steps of a prompt, whichever nodes sample. Progress messages of the server say which and how far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gpu_runner.protocol.workflows.graph_builder import Graph
from gpu_runner.protocol.workflows.work import steps_of_sampler

SAMPLED_TYPES = frozenset({"LATENT", "IMAGE", "VIDEO", "AUDIO"})
SAMPLER_INPUTS = frozenset({"steps", "sigmas", "sampler", "sampler_name"})


class StepCounter:
    """Steps done and to do of one prompt. ``nodes`` is the server's description of its node classes.

    Nodes that sample are known by their inputs and outputs. If there is none, every node that reports progress counts.
    """

    def __init__(self, graph: Graph, nodes: Mapping[str, Any]) -> None:
        self._graph = graph
        self._nodes = nodes
        self.samplers = frozenset(key for key in graph if self._samples(key))
        self._expected = {key: steps_of_sampler(graph, key) or 0 for key in self.samplers}
        self._done: dict[str, int] = {}
        self._finished: dict[str, int] = {}  # of earlier rounds: some nodes sample several times
        self._last: dict[str, tuple[int, int]] = {}

    def _info(self, key: str) -> Mapping[str, Any]:
        return self._nodes.get(self._graph[key]["class_type"]) or {}

    def _samples(self, key: str) -> bool:
        info = self._info(key)
        inputs = {name for part in info.get("input", {}).values() for name in part}
        return bool(SAMPLED_TYPES & set(info.get("output") or ()) and SAMPLER_INPUTS & inputs)

    def _counts(self, key: str) -> bool:
        if key not in self._graph:  # a node inside of a subgraph
            return True
        if self.samplers:
            return key in self.samplers
        return not self._info(key).get("output_node")

    def progress(self, key: str, value: Any, maximum: Any) -> bool:
        """Take a progress message. Returns whether the node counts."""
        numbers = [number for number in (value, maximum) if isinstance(number, int | float)]
        if len(numbers) < 2 or not all(map(math.isfinite, numbers)) or not self._counts(key):
            return False
        if value < 0 or maximum <= 0:
            return False
        done, steps = int(min(value, maximum)), max(1, int(maximum))
        last_done, last_steps = self._last.get(key, (0, steps))
        if done < last_done:  # another round
            self._finished[key] = self._finished.get(key, 0) + last_steps
        self._last[key] = (done, steps)
        finished = self._finished.get(key, 0)
        self._done[key] = max(self._done.get(key, 0), finished + done)
        self._expected[key] = finished + steps
        return True

    @property
    def done(self) -> int:
        """Steps done so far by all nodes."""
        return sum(self._done.values())

    @property
    def total(self) -> int:
        """Steps that are expected of all nodes, at least 1."""
        return max(1, self.done, sum(self._expected.values()))

    @property
    def share(self) -> float:
        """Share of the expected steps that is done."""
        return self.done / self.total

    def steps_run(self, cached: frozenset[str]) -> int:
        """Steps that a prompt has run when it succeeded, even if progress messages were lost."""
        ran = self._expected.keys() | self._done.keys()
        return sum(
            max(self._done.get(key, 0), self._expected.get(key, 0)) for key in ran if key not in cached
        )

    def is_cached(self, cached: frozenset[str]) -> bool:
        """Whether nothing was drawn, because the results of all nodes that draw were cached."""
        if self.samplers:
            return self.samplers <= cached
        drawing = {key for key in self._graph if not self._info(key).get("output_node")}
        return bool(drawing) and drawing <= cached
