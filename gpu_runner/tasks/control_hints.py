"""Control images as the ControlNets of diffusion transformers read them: latents, with a mask where they have one."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor
from torch.nn import functional

from gpu_runner.controlnet.units import MASKED, PreparedUnit
from gpu_runner.networks.loaded import LoadedCheckpoint, LoadedFlowControlNet
from gpu_runner.networks.operations import EncodeHint, EncodeImage, Operation
from gpu_runner.protocol.catalogs.control_types import control_type, mode
from gpu_runner.protocol.errors import InvalidRequest

Encoding = Generator[Operation, Tensor, Tensor]


def union_mode(unit: PreparedUnit, model: LoadedFlowControlNet) -> int:
    """Kind of the control image for a union; 0 for others. Raises InvalidRequest if the unit does not tell it."""
    if not model.modes:
        return 0
    number = mode(unit.request.control_type, unit.module.name, model.modes)
    if number is None:
        raise InvalidRequest(
            f"{unit.request.model} is a union ControlNet: control_type must say what the image is"
        )
    return number


def check_mask(unit: PreparedUnit, model: LoadedFlowControlNet) -> None:
    """Raises InvalidRequest if the module gives a mask that the ControlNet does not read, or none where it needs one."""
    name, module = unit.request.model, unit.module.name
    if unit.hidden is None and model.mask == "needed":
        raise InvalidRequest(f"{name} reads the area to repaint: it needs the preprocessor inpaint_only")
    if unit.hidden is not None and not model.mask:
        raise InvalidRequest(f"{name} reads no mask: it cannot be used with the preprocessor {module!r}")


def flow_hint(unit: PreparedUnit, model: LoadedFlowControlNet, checkpoint: LoadedCheckpoint) -> Encoding:
    """Encode the control image: (channels, h, w) at the size of the latent."""
    check_mask(unit, model)
    if model.reads_pixels:
        return (yield EncodeHint(model, unit.pixels))
    if model.mask == "optional":
        return (yield from _with_background(unit, model, checkpoint))
    if unit.hidden is not None:
        return (yield from _masked(unit, checkpoint))
    if model.family == "sd3":
        return (yield from _of_sd3(unit, model, checkpoint))
    return (yield EncodeImage(checkpoint, unit.pixels))


def _of_sd3(unit: PreparedUnit, model: LoadedFlowControlNet, checkpoint: LoadedCheckpoint) -> Encoding:
    """InstantX's latents are not shifted. Stability AI's network for edges was trained with edges of another brightness."""
    if model.net.config.force_zeros_for_pooled_projection:
        latent = yield EncodeImage(checkpoint, unit.pixels)
        return latent + checkpoint.vae_shift * checkpoint.vae_scaling
    if control_type(unit.request.control_type, unit.module.name) == "canny":
        return (yield EncodeImage(checkpoint, unit.edge_pixels))
    return (yield EncodeImage(checkpoint, unit.pixels))


def _masked(unit: PreparedUnit, checkpoint: LoadedCheckpoint) -> Encoding:
    """Latent of the image, black where it is repainted, and a mask that is 1 elsewhere."""
    latent = yield EncodeImage(checkpoint, unit.masked_pixels(-1.0))
    return torch.cat([latent, 1 - _mask(unit, latent)])


def _with_background(
    unit: PreparedUnit, model: LoadedFlowControlNet, checkpoint: LoadedCheckpoint
) -> Encoding:
    """Latent of the control image, mask, and latent of the image outside the mask; zeros for those that are left out.

    The mask is 1 outside the area that is repainted. The image of an inpainting preprocessor is no control image.
    """
    control = None
    if unit.hidden is None:
        control = yield EncodeImage(checkpoint, unit.pixels)
    shown = unit if unit.hidden is not None else unit.background
    if shown is None:
        assert control is not None
        rest = model.net.config.control_in_dim - len(control)
        return torch.cat([control, control.new_zeros(rest, *control.shape[1:])])
    latent = yield EncodeImage(checkpoint, shown.masked_pixels(0.0))
    return torch.cat(
        [torch.zeros_like(latent) if control is None else control, 1 - _mask(shown, latent), latent]
    )


def _mask(unit: PreparedUnit, latent: Tensor) -> Tensor:
    """(1, h, w) at the size of the latent; 1 is repainted."""
    assert unit.hidden is not None
    mask = torch.from_numpy((unit.hidden > MASKED).astype("float32"))[None, None]
    return functional.interpolate(mask, latent.shape[-2:])[0].to(latent.device)
