"""What a job costs: megapixels times how often the model is asked about them, times the checkpoint's multiplier. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.step_count import count_evaluations

UNIT = Decimal("0.000001")


def planned_steps(request: GenerationRequest) -> int:
    """How often the model will be asked, over all pictures and passes: what a runner counts its progress in."""
    return planned(request, 1)[0]


def estimate(request: GenerationRequest, multiplier: float) -> Decimal:
    """Each pass at its own size."""
    return planned(request, multiplier)[1]


def planned(request: GenerationRequest, multiplier: float) -> tuple[int, Decimal]:
    """``planned_steps`` and ``estimate`` for one look at the passes."""
    passes = count_evaluations(request)
    evaluations = sum(walked.evaluations for walked in passes)
    work = Decimal(sum(walked.evaluations * walked.pixels for walked in passes))
    return (
        max(1, evaluations * request.num_outputs),
        _rounded(work * request.num_images / 1_000_000 * Decimal(str(multiplier))),
    )


def settled(estimated: Decimal, request: GenerationRequest, steps_run: int) -> Decimal:
    """The share of the estimate that was really run: the multiplier stays what it was at admission.

    What was reserved is the most: nobody pays for more than was quoted.
    """
    most = planned_steps(request)
    return _rounded(estimated * min(steps_run, most) / most)


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(UNIT, ROUND_HALF_UP)
