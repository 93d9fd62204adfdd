"""Cost of a job: megapixels x model evaluations x cost multiplier of the checkpoint.

Pure functions. The unit is one evaluation of one megapixel, rounded to UNIT.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.families.cost import family_cost, reference_pixels
from gpu_runner.protocol.families.family import Family
from gpu_runner.protocol.families.registry import FAMILIES
from gpu_runner.protocol.step_count import count_evaluations

UNIT = Decimal("0.000001")


def multiplier_of(of_checkpoint: float, family: str) -> float:
    """Multiplier of a checkpoint's own row, times the price of its family; 1 for families that are not known."""
    return of_checkpoint * family_cost(FAMILIES[family]) if family in FAMILIES else of_checkpoint


def planned_steps(request: GenerationRequest) -> int:
    """Number of model evaluations over all outputs and passes, at least 1. The unit of progress."""
    return planned(request, 1)[0]


def estimate(request: GenerationRequest, multiplier: float, family: Family | None = None) -> Decimal:
    """Cost of the request. Each pass counts with its own image size."""
    return planned(request, multiplier, family)[1]


def planned(
    request: GenerationRequest, multiplier: float, family: Family | None = None
) -> tuple[int, Decimal]:
    """``planned_steps`` and ``estimate``; the passes are evaluated only once.

    ``family``: that of the checkpoint, if its reference images count.
    """
    passes = count_evaluations(request)
    evaluations = sum(one.evaluations for one in passes)
    work = Decimal(sum(one.evaluations * one.pixels for one in passes))
    if family is not None and family.references is not None:
        seen = (one.evaluations * one.images * reference_pixels(family, one.pixels) for one in passes)
        work += Decimal(round(sum(seen)))
    return (
        max(1, evaluations * request.num_results),
        rounded(work * request.num_images / 1_000_000 * Decimal(str(multiplier))),
    )


def settled(
    estimated: Decimal, request: GenerationRequest, steps_run: int, pixel_steps: int | None = None
) -> Decimal:
    """Final cost: the estimate, times the share of the planned work that was done.

    Work is counted in steps times pixels if the runner has reported them, because passes differ in size, else in
    steps. It never exceeds the estimate, and the multiplier remains the one at admission.
    """
    if pixel_steps is not None:
        passes = count_evaluations(request)
        work = sum(one.evaluations * one.pixels for one in passes) * request.num_images
        if work:
            return rounded(estimated * min(pixel_steps, work) / work)
    planned_count = planned_steps(request)
    return rounded(estimated * min(steps_run, planned_count) / planned_count)


def rounded(amount: Decimal) -> Decimal:
    """Round to the unit of cost."""
    return amount.quantize(UNIT, ROUND_HALF_UP)
