"""What a job costs: megapixel-steps times the checkpoint's multiplier. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from gpu_runner.protocol import GenerationRequest

UNIT = Decimal("0.000001")


def planned_steps(request: GenerationRequest) -> int:
    """Steps over all pictures and passes."""
    return (_first_steps(request) + _second_steps(request)) * request.num_images


def _first_steps(request: GenerationRequest) -> int:
    """From a picture one walks only the last part of a schedule, as the strength says."""
    steps = request.num_inference_steps
    if not request.walks:
        return 1
    if not request.init_images or request.exact_steps:
        return steps
    return min(steps, int(min(request.strength, 0.999) * steps) + 1)


def _second_steps(request: GenerationRequest) -> int:
    if request.hires is None or request.hires.strength == 0:
        return 0
    return request.hires.num_inference_steps or request.num_inference_steps


def estimate(request: GenerationRequest, multiplier: float) -> Decimal:
    """Each pass at its own size."""
    work = Decimal(request.width * request.height * _first_steps(request))
    if request.hires is not None:
        work += request.hires.width * request.hires.height * _second_steps(request)
    return _rounded(work * request.num_images / 1_000_000 * Decimal(str(multiplier)))


def settled(estimated: Decimal, request: GenerationRequest, steps_run: int) -> Decimal:
    """The share of the estimate that was really run: the multiplier stays what it was at admission."""
    return _rounded(estimated * steps_run / planned_steps(request))


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(UNIT, ROUND_HALF_UP)
