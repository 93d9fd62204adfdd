"""What a job costs: megapixel-steps times the checkpoint's multiplier. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from gpu_runner.protocol import GenerationRequest

UNIT = Decimal("0.000001")


def planned_steps(request: GenerationRequest) -> int:
    """Steps over all pictures. img2img walks only the last part of its schedule, as its strength says."""
    steps = request.num_inference_steps
    if request.task == "img2img":
        steps = min(steps, int(min(request.strength, 0.999) * steps) + 1)
    return steps * request.num_images


def estimate(request: GenerationRequest, multiplier: float) -> Decimal:
    megapixels = Decimal(request.width * request.height) / 1_000_000
    return _rounded(megapixels * planned_steps(request) * Decimal(str(multiplier)))


def settled(estimated: Decimal, request: GenerationRequest, steps_run: int) -> Decimal:
    """The share of the estimate that was really run: the multiplier stays what it was at admission."""
    return _rounded(estimated * steps_run / planned_steps(request))


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(UNIT, ROUND_HALF_UP)
