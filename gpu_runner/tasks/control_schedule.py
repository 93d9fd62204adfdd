"""Active ControlNet units and references per step (guidance start and end, control mode)."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from torch import Tensor, from_numpy
from torch.nn import functional

from gpu_runner.controlnet.units import PreparedUnit
from gpu_runner.networks.diffusion.controlnet import ControlNetInput
from gpu_runner.networks.diffusion.reference_attention import Reference
from gpu_runner.networks.loaded import LoadedCheckpoint, LoadedControlNet, LoadedFlowControlNet
from gpu_runner.networks.operations import EncodeHint, EncodeImage, Operation
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.request_parts.values import MAX_SEED
from gpu_runner.samplers.noise import NoiseStream

from .control_hints import flow_hint, union_mode

SOFT = 0.825  # weight factor per layer away from the middle block, as in soft weighting
REFERENCE_SEED_OFFSET = 0x5EED  # seed offset: reference noise must differ from the image's noise


@dataclass(frozen=True, eq=False)
class ControlSchedule:
    """A control input and the interval in which it is active, as fractions of the steps (0 to 1)."""

    control: ControlNetInput | Reference
    start: float
    end: float

    def is_active(self, fraction: float) -> bool:
        return self.start <= fraction <= self.end


def active_at(
    schedules: Iterable[ControlSchedule], fraction: float
) -> tuple[tuple[ControlNetInput, ...], Reference | None]:
    """Return the ControlNet inputs and the reference active at ``fraction``; the last reference wins."""
    active = [schedule.control for schedule in schedules if schedule.is_active(fraction)]
    references = [one for one in active if isinstance(one, Reference)]
    return tuple(one for one in active if isinstance(one, ControlNetInput)), references[
        -1
    ] if references else None


def schedule_controls(
    units: Iterable[PreparedUnit], checkpoint: LoadedCheckpoint, seed: int
) -> Generator[Operation, Tensor, tuple[ControlSchedule, ...]]:
    """Build the control schedules of one pass. Units with neither a model nor a reference are skipped."""
    schedules = []
    for unit in units:
        if unit.acts:
            control = yield from _control(unit, checkpoint, seed)
            if control is not None:
                schedules.append(
                    ControlSchedule(control, unit.request.guidance_start, unit.request.guidance_end)
                )
    return tuple(schedules)


def _control(
    unit: PreparedUnit, checkpoint: LoadedCheckpoint, seed: int
) -> Generator[Operation, Tensor, ControlNetInput | Reference | None]:
    if unit.module.name.startswith("reference"):
        latent = yield EncodeImage(checkpoint, unit.pixels)
        return _reference(unit, latent, seed)
    if unit.model is None:
        return None
    mode = 0
    if isinstance(unit.model, LoadedFlowControlNet):
        mode = union_mode(unit, unit.model)
        hint = yield from flow_hint(unit, unit.model, checkpoint)
    else:
        hint = yield EncodeHint(unit.model, unit.hint)
    both = unit.request.control_mode != "control"
    return ControlNetInput(
        unit.model,
        hint,
        scales(unit, unit.model),
        _region(unit, hint),
        unconditioned=both,
        weight=unit.request.weight,
        mode=mode,
    )


def _reference(unit: PreparedUnit, latent: Tensor, seed: int) -> Reference:
    noise = NoiseStream(
        (seed + REFERENCE_SEED_OFFSET) % (MAX_SEED + 1), tuple(latent.shape), latent.device
    ).draw()
    slider = unit.module.settings(None, unit.request.threshold_a, None).a
    fidelity = {"balanced": slider, "prompt": 0.0, "control": 1.0}[unit.request.control_mode]
    attention, adain = unit.module.name != "reference_adain", "adain" in unit.module.name
    return Reference(latent, noise, unit.request.weight, fidelity, attention, adain)


def scales(unit: PreparedUnit, model: LoadedControlNet) -> tuple[float, ...]:
    """Return the weight of each ControlNet residual, from the first down block to the middle block.

    Raises InvalidRequest if ``layer_weights`` has the wrong length.
    """
    unit_request, layers = unit.request, model.outputs
    if unit_request.layer_weights:
        if len(unit_request.layer_weights) != layers:
            raise InvalidRequest(f"advanced_weighting of {unit_request.model} needs {layers} weights")
        return tuple(unit_request.weight * weight for weight in unit_request.layer_weights)
    if unit_request.control_mode == "balanced":
        return (unit_request.weight,) * layers
    return tuple(unit_request.weight * SOFT ** (layers - 1 - layer) for layer in range(layers))


def _region(unit: PreparedUnit, hint: Tensor) -> Tensor | None:
    if unit.region is None:
        return None
    pixels = from_numpy(unit.region.astype("float32") / 255)[None, None].to(hint.device)
    return functional.interpolate(pixels, hint.shape[-2:], mode="area")[0]
