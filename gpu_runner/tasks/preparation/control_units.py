"""Preparation of control units outside the engine's thread: load models, compute and resize control maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from gpu_runner.controlnet.preprocessors import network_registry, registry
from gpu_runner.controlnet.preprocessors.arrays import Pixels, Plane
from gpu_runner.controlnet.preprocessors.resize import fit, fit_mask, perfect_resolution
from gpu_runner.controlnet.units import PreparedControls, PreparedUnit, UnitsPerImage
from gpu_runner.imaging import images, masks
from gpu_runner.imaging.images import ResizeMode
from gpu_runner.imaging.masks import Box
from gpu_runner.models.loaders.controlnet import check_family
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.loaded import LoadedControlNet, LoadedFlowControlNet
from gpu_runner.protocol import RunRequest
from gpu_runner.protocol.catalogs.preprocessors import Module, find
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.values import InputImage
from gpu_runner.tasks.control_hints import check_mask, union_mode
from gpu_runner.tasks.generation import Pass, Plan
from gpu_runner.tasks.init_image import Canvas, Source


@dataclass(frozen=True)
class InitImageView:
    """The init image for control units without an image of their own."""

    whole: Image.Image
    frame: Image.Image  # the region that is generated
    mask: Image.Image | None = None  # same size as the frame
    box: tuple[float, float, float, float] | None = (
        None  # left, top, right, bottom of the frame as fractions of whole
    )

    @classmethod
    def of(cls, sources: Sequence[Source], canvases: Sequence[Canvas]) -> tuple[InitImageView, ...]:
        if not canvases:
            return tuple(cls(source.image, source.image, source.mask) for source in sources)
        wholes = [source.image for source in sources] or [canvas.frame for canvas in canvases]
        return tuple(
            cls(whole, canvas.frame, canvas.mask, _shares(canvas))
            for whole, canvas in zip(wholes, canvases, strict=True)
        )


def _shares(canvas: Canvas) -> tuple[float, float, float, float] | None:
    if canvas.overlay is None or canvas.overlay.box is None:
        return None
    (left, top, right, bottom), (width, height) = canvas.overlay.box, canvas.overlay.original.size
    return left / width, top / height, right / width, bottom / height


class ControlUnitBuilder:
    """Builds the control units of one request. Units without an image are built for each init image."""

    def __init__(
        self,
        store: ModelStore,
        run_request: RunRequest,
        plan: Plan,
        init_views: Sequence[InitImageView],
        decode: Callable[[InputImage], Image.Image],
    ) -> None:
        self.store = store
        self.run_request = run_request
        self.plan = plan
        self.request = run_request.request
        self.init_views: Sequence[InitImageView | None] = init_views or [None]
        self._decode = decode

    def controls(self) -> PreparedControls:
        second = self._units(self.plan.second, "low") if self.plan.second else ((),)
        return PreparedControls(self._units(self.plan.first, "high" if self.plan.second else ""), second)

    def _units(self, pass_: Pass, excluded: str) -> UnitsPerImage:
        """``excluded`` is the hr_option of units that apply to the other pass only."""
        own = any(unit.image is None for unit in self.request.controls)
        return tuple(
            tuple(self._unit(unit, init_view, pass_, excluded) for unit in self.request.controls)
            for init_view in (self.init_views if own else self.init_views[:1])
        )

    def _unit(
        self, unit: ControlUnit, init_view: InitImageView | None, pass_: Pass, excluded: str
    ) -> PreparedUnit:
        module, pixels = self._module(unit), self._pixels(unit, init_view)
        mask, hidden = self._mask(unit, init_view), None
        if "inpaint" in module.name:
            hidden = _covering(mask, pixels, module.name)
        elif mask is not None and mask.any():  # the mask is a sketch and already a control map
            module, pixels = _module("none"), np.repeat(mask[:, :, None], 3, axis=2)
        width, height, mode = pass_.request.width, pass_.request.height, self._mode(unit)
        control_map = self._map(module, _at_resolution(unit, pixels, width, height, mode), pixels)
        prepared = PreparedUnit(
            request=unit,
            module=module,
            model=self._model(unit, pass_),
            map=fit(control_map, width, height, mode),
            hidden=None if hidden is None else fit_mask(hidden, width, height, mode),
            region=self._region(unit, width, height),
            acts=unit.hr_option != excluded,
        )
        return self._with_background(prepared, init_view, width, height)

    def _with_background(
        self, unit: PreparedUnit, init_view: InitImageView | None, width: int, height: int
    ) -> PreparedUnit:
        """Add what is around the area to repaint, for ControlNets that also read that. Raises InvalidRequest."""
        if not isinstance(unit.model, LoadedFlowControlNet):
            return unit
        union_mode(unit, unit.model)
        check_mask(unit, unit.model)
        if unit.model.mask != "optional" or init_view is None or init_view.mask is None:
            return unit
        frame, mask = np.asarray(init_view.frame.convert("RGB")), np.asarray(init_view.mask.convert("L"))
        shown = replace(unit, map=fit(frame, width, height, "stretch"), region=None)
        return replace(unit, background=replace(shown, hidden=fit_mask(mask, width, height, "stretch")))

    def _mode(self, unit: ControlUnit) -> ResizeMode:
        """Resize mode of the unit; units that use the init image resize it like the request does."""
        job = self.request.resize_mode
        return unit.resize_mode if unit.image else "stretch" if job == "latent" else job

    def _module(self, unit: ControlUnit) -> Module:
        """Preprocessor of the unit. An inpainting request restores the unmasked area, so inpaint suffices."""
        masked = self.request.inpaint is not None or self.request.change_background is not None
        return _module("inpaint" if unit.module == "inpaint_only" and masked else unit.module)

    def _map(self, module: Module, unit: ControlUnit, pixels: Pixels) -> Pixels:
        settings = module.settings(unit.processor_res, unit.threshold_a, unit.threshold_b)
        if not module.weights:
            return registry.detect(module, pixels, settings)
        network = self.store.preprocessor(self.run_request.file("preprocessor", module.weights), module.name)
        return network_registry.detect(module, network, pixels, settings)

    def _model(self, unit: ControlUnit, pass_: Pass) -> LoadedControlNet | None:
        if not unit.model:
            return None
        model = self.store.controlnet(self.run_request.file("controlnet", unit.model))
        check_family(model, pass_.model, unit.model)
        return model

    def _pixels(self, unit: ControlUnit, init_view: InitImageView | None) -> Pixels:
        """Input image of the unit, RGB (h, w, 3); with crop_with_mask, only the generated region.

        Raises InvalidRequest if neither the unit nor the request has an image.
        """
        if unit.image is not None:
            image = images.flatten(self._decode(unit.image), self.request.background)
            if unit.crop_with_mask and init_view is not None and init_view.box is not None:
                image = image.crop(_box_in(image, init_view.box))
        elif init_view is not None:
            image = init_view.frame if unit.crop_with_mask else init_view.whole
        else:
            raise InvalidRequest("controls: image is required for a unit of a request without init image")
        return np.asarray(image.convert("RGB"))

    def _mask(self, unit: ControlUnit, init_view: InitImageView | None) -> Plane | None:
        """Mask of the unit; inpainting preprocessors fall back to the request's mask."""
        if unit.mask is not None:
            return self._plane(unit.mask)
        if init_view is None or init_view.mask is None or "inpaint" not in unit.module:
            return None
        return np.asarray(init_view.mask.convert("L"))

    def _region(self, unit: ControlUnit, width: int, height: int) -> Plane | None:
        if unit.region is None:
            return None
        return fit_mask(self._plane(unit.region), width, height, unit.resize_mode)

    def _plane(self, image: InputImage) -> Plane:
        return np.asarray(masks.from_image(self._decode(image), rounded=True))


def _at_resolution(
    unit: ControlUnit, pixels: Pixels, width: int, height: int, mode: ResizeMode
) -> ControlUnit:
    """With pixel_perfect, replace the preprocessor resolution by the one computed from the image size."""
    if not unit.pixel_perfect:
        return unit
    resolution = perfect_resolution(pixels, width, height, mode)
    return unit.model_copy(update={"processor_res": resolution})


def _box_in(image: Image.Image, shares: tuple[float, float, float, float]) -> Box:
    width, height = image.size
    left, top = int(shares[0] * width), int(shares[1] * height)
    return left, top, max(left + 1, round(shares[2] * width)), max(top + 1, round(shares[3] * height))


def _module(name: str) -> Module:
    module = find(name)
    if module is None:
        raise InvalidRequest(f"unknown preprocessor {name!r}")
    if module.refused:
        raise InvalidRequest(f"the preprocessor {name!r} is not supported: {module.refused}")
    return module


def _covering(mask: Plane | None, pixels: Pixels, module: str) -> Plane:
    """Resize the mask to the image. No mask: empty for ``inpaint``, InvalidRequest for other modules."""
    if mask is None and module == "inpaint":
        return np.zeros(pixels.shape[:2], np.uint8)
    if mask is None:
        raise InvalidRequest(f"the preprocessor {module!r} needs a mask")
    return fit_mask(mask, pixels.shape[1], pixels.shape[0], "stretch")
