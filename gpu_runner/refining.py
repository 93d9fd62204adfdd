"""Another checkpoint takes over on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from gpu_runner.networks.operations import DenoiseAsk

if TYPE_CHECKING:
    from gpu_runner.tasks.denoising_loop import Answer, Script, Way

TRAINING_STEPS = 1000


class Handover:
    """The first script's words until ``switch_at`` of the training steps lie behind, then the second's.

    A1111 counts so since 1.10: by how noisy the picture still is, not by calls. What has taken over stays, even with
    samplers that go back to more noise.
    """

    def __init__(self, first: Script, second: Script, switch_at: float) -> None:
        self._speaking = first
        self._second = second
        self._switch_at = switch_at

    def ask(self, way: Way, x: Tensor, sigma: float, call: int) -> DenoiseAsk:
        last = TRAINING_STEPS - 1
        if (last - way.levels.timestep_at(sigma)) / TRAINING_STEPS >= self._switch_at:
            self._speaking = self._second
        return self._speaking.ask(way, x, sigma, call)

    def settled(self, way: Way, answer: Answer) -> Answer:
        return self._speaking.settled(way, answer)
