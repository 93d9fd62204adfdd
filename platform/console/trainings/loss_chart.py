"""The loss of a training as the points of an SVG line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600, 200  # of the viewBox
MIN_POINTS = 10


@dataclass(frozen=True)
class LossChart:
    """``points``: of a polyline in a viewBox of WIDTH by HEIGHT. ``lowest`` and ``highest`` are at its edges."""

    points: str
    lowest: float
    highest: float
    last: float


def chart_of(losses: Sequence[Sequence[float]], steps: int) -> LossChart | None:
    """The chart of points (step, loss) of a training with so many steps; None if there are fewer than two points.

    The first tenth is left out once the rest is drawn: those losses are means of a few steps, which hide all others.
    """
    if len(losses) < 2:
        return None
    settled = [point for point in losses if point[0] > steps / 10]
    losses = settled if len(settled) >= MIN_POINTS else losses
    values = [loss for _step, loss in losses]
    lowest, highest = min(values), max(values)
    height = highest - lowest or 1.0
    places = ((step / max(steps, 1) * WIDTH, (highest - loss) / height * HEIGHT) for step, loss in losses)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return LossChart(points, lowest, highest, values[-1])
