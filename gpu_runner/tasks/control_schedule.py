"""How the control units of a picture act along its walk."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from torch import Tensor, from_numpy
from torch.nn import functional

from gpu_runner.controlnet.units import PreparedUnit
from gpu_runner.networks.diffusion.controlnet import ControlNetInput
from gpu_runner.networks.diffusion.reference_attention import Reference
from gpu_runner.networks.loaded import LoadedCheckpoint, LoadedControlNet
from gpu_runner.networks.operations import EncodeHint, EncodeImage, Operation
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.generation_request import MAX_SEED
from gpu_runner.samplers.noise import NoiseStream

SOFT = 0.825  # each layer further from the middle has this share of the next one's weight
OTHER_NOISE = 0x5EED  # a reference under the picture's own noise would be taken for the picture


@dataclass(frozen=True, eq=False)
class ControlSchedule:
    """What acts, and the window of the walk in which it does, as shares of the steps."""

    acts_by: ControlNetInput | Reference
    start: float
    end: float

    def acts(self, share: float) -> bool:
        return self.start <= share <= self.end


def acting_at(
    steerings: Iterable[ControlSchedule], share: float
) -> tuple[tuple[ControlNetInput, ...], Reference | None]:
    """Of several references the last one acts."""
    acting = [steering.acts_by for steering in steerings if steering.acts(share)]
    references = [one for one in acting if isinstance(one, Reference)]
    return tuple(one for one in acting if isinstance(one, ControlNetInput)), references[
        -1
    ] if references else None


def schedule_controls(
    units: Iterable[PreparedUnit], checkpoint: LoadedCheckpoint, seed: int
) -> Generator[Operation, Tensor, tuple[ControlSchedule, ...]]:
    """The steering of a pass. A unit with neither a model nor a reference only shows its map."""
    steerings = []
    for unit in units:
        if unit.acts:
            acts_by = yield from _acting(unit, checkpoint, seed)
            if acts_by is not None:
                steerings.append(
                    ControlSchedule(acts_by, unit.request.guidance_start, unit.request.guidance_end)
                )
    return tuple(steerings)


def _acting(
    unit: PreparedUnit, checkpoint: LoadedCheckpoint, seed: int
) -> Generator[Operation, Tensor, ControlNetInput | Reference | None]:
    if unit.module.name.startswith("reference"):
        latent = yield EncodeImage(checkpoint, unit.pixels)
        return _reference(unit, latent, seed)
    if unit.model is None:
        return None
    hint = yield EncodeHint(unit.model, unit.hint)
    both = unit.request.control_mode != "control"
    return ControlNetInput(
        unit.model, hint, scales(unit, unit.model), _region(unit, hint), unconditioned=both
    )


def _reference(unit: PreparedUnit, latent: Tensor, seed: int) -> Reference:
    noise = NoiseStream((seed + OTHER_NOISE) % (MAX_SEED + 1), tuple(latent.shape), latent.device).draw()
    slider = unit.module.settings(None, unit.request.threshold_a, None).a
    fidelity = {"balanced": slider, "prompt": 0.0, "control": 1.0}[unit.request.control_mode]
    attention, adain = unit.module.name != "reference_adain", "adain" in unit.module.name
    return Reference(latent, noise, unit.request.weight, fidelity, attention, adain)


def scales(unit: PreparedUnit, model: LoadedControlNet) -> tuple[float, ...]:
    """The weight of each residual, from the first to the middle's."""
    asked, layers = unit.request, len(model.net.controlnet_down_blocks) + 1
    if asked.layer_weights:
        if len(asked.layer_weights) != layers:
            raise InvalidRequest(f"advanced_weighting of {asked.model} needs {layers} weights")
        return tuple(asked.weight * weight for weight in asked.layer_weights)
    if asked.control_mode == "balanced":
        return (asked.weight,) * layers
    return tuple(asked.weight * SOFT ** (layers - 1 - layer) for layer in range(layers))


def _region(unit: PreparedUnit, hint: Tensor) -> Tensor | None:
    if unit.region is None:
        return None
    pixels = from_numpy(unit.region.astype("float32") / 255)[None, None].to(hint.device)
    return functional.interpolate(pixels, hint.shape[-2:], mode="area")[0]
