"""Where control units are made ready, beside the engine's thread: models loaded, maps drawn and fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
from gpu_runner.networks.loaded import LoadedControlNet
from gpu_runner.protocol import RunRequest
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.generation_request import ControlUnit, Picture
from gpu_runner.protocol.preprocessor_catalog import Module, find
from gpu_runner.tasks.generation import Pass, Plan
from gpu_runner.tasks.init_image import Canvas, Source


@dataclass(frozen=True)
class InitImageView:
    """The init image as units see it that have none of their own."""

    whole: Image.Image
    frame: Image.Image  # what of it is drawn upon
    mask: Image.Image | None = None  # over the frame
    box: tuple[float, float, float, float] | None = None  # the frame's place, as shares of the whole

    @classmethod
    def of(cls, sources: Sequence[Source], canvases: Sequence[Canvas]) -> tuple[InitImageView, ...]:
        if not canvases:
            return tuple(cls(source.picture, source.picture, source.mask) for source in sources)
        wholes = [source.picture for source in sources] or [canvas.frame for canvas in canvases]
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
    """Makes the units of one order. A unit that reads the init image does so for each of them."""

    def __init__(
        self,
        store: ModelStore,
        order: RunRequest,
        plan: Plan,
        beginnings: Sequence[InitImageView],
        opened: Callable[[Picture], Image.Image],
    ) -> None:
        self.store = store
        self.order = order
        self.plan = plan
        self.request = order.request
        self.beginnings: Sequence[InitImageView | None] = beginnings or [None]
        self._opened = opened

    def controls(self) -> PreparedControls:
        second = self._units(self.plan.second, "low") if self.plan.second else ((),)
        return PreparedControls(self._units(self.plan.first, "high" if self.plan.second else ""), second)

    def _units(self, walked: Pass, not_here: str) -> UnitsPerImage:
        """``not_here`` is the hr_option of units for the other pass."""
        own = any(asked.image is None for asked in self.request.controls)
        return tuple(
            tuple(self._unit(asked, beginning, walked, not_here) for asked in self.request.controls)
            for beginning in (self.beginnings if own else self.beginnings[:1])
        )

    def _unit(
        self, asked: ControlUnit, beginning: InitImageView | None, walked: Pass, not_here: str
    ) -> PreparedUnit:
        module, pixels = self._module(asked), self._pixels(asked, beginning)
        mask, hidden = self._mask(asked, beginning), None
        if "inpaint" in module.name:
            hidden = _covering(mask, pixels, module.name)
        elif mask is not None and mask.any():  # a sketch, which is a map already
            module, pixels = _module("none"), np.repeat(mask[:, :, None], 3, axis=2)
        width, height, mode = walked.request.width, walked.request.height, self._mode(asked)
        drawn = self._map(module, _at_resolution(asked, pixels, width, height, mode), pixels)
        return PreparedUnit(
            request=asked,
            module=module,
            model=self._model(asked, walked),
            map=fit(drawn, width, height, mode),
            hidden=None if hidden is None else fit_mask(hidden, width, height, mode),
            region=self._region(asked, width, height),
            acts=asked.hr_option != not_here,
        )

    def _mode(self, asked: ControlUnit) -> ResizeMode:
        """The init image is fitted here as it is fitted there."""
        job = self.request.resize_mode
        return asked.resize_mode if asked.image else "stretch" if job == "latent" else job

    def _module(self, asked: ControlUnit) -> Module:
        """Where the job itself inpaints, it also keeps what is outside of the mask."""
        masked = self.request.inpaint is not None or self.request.change_background is not None
        return _module("inpaint" if asked.module == "inpaint_only" and masked else asked.module)

    def _map(self, module: Module, asked: ControlUnit, pixels: Pixels) -> Pixels:
        settings = module.settings(asked.processor_res, asked.threshold_a, asked.threshold_b)
        if not module.weights:
            return registry.detect(module, pixels, settings)
        network = self.store.preprocessor(self.order.file("preprocessor", module.weights), module.name)
        return network_registry.detect(module, network, pixels, settings)

    def _model(self, asked: ControlUnit, walked: Pass) -> LoadedControlNet | None:
        if not asked.model:
            return None
        model = self.store.controlnet(self.order.file("controlnet", asked.model))
        check_family(model, walked.model, asked.model)
        return model

    def _pixels(self, asked: ControlUnit, beginning: InitImageView | None) -> Pixels:
        """With an inpainting that draws a part only, a unit sees that part only."""
        if asked.image is not None:
            picture = images.flatten(self._opened(asked.image), self.request.background)
            if asked.crop_with_mask and beginning is not None and beginning.box is not None:
                picture = picture.crop(_box_in(picture, beginning.box))
        elif beginning is not None:
            picture = beginning.frame if asked.crop_with_mask else beginning.whole
        else:
            raise InvalidRequest(
                f"a control unit with {asked.module} has no picture, and there is no init image"
            )
        return np.asarray(picture.convert("RGB"))

    def _mask(self, asked: ControlUnit, beginning: InitImageView | None) -> Plane | None:
        """The unit's own, or for inpainting modules the job's."""
        if asked.mask is not None:
            return self._plane(asked.mask)
        if beginning is None or beginning.mask is None or "inpaint" not in asked.module:
            return None
        return np.asarray(beginning.mask.convert("L"))

    def _region(self, asked: ControlUnit, width: int, height: int) -> Plane | None:
        if asked.region is None:
            return None
        return fit_mask(self._plane(asked.region), width, height, asked.resize_mode)

    def _plane(self, picture: Picture) -> Plane:
        return np.asarray(masks.from_image(self._opened(picture), rounded=True))


def _at_resolution(
    asked: ControlUnit, pixels: Pixels, width: int, height: int, mode: ResizeMode
) -> ControlUnit:
    """With pixel_perfect the resolution is what the picture's size makes it."""
    if not asked.pixel_perfect:
        return asked
    resolution = perfect_resolution(pixels, width, height, mode)
    return asked.model_copy(update={"processor_res": resolution})


def _box_in(picture: Image.Image, shares: tuple[float, float, float, float]) -> Box:
    width, height = picture.size
    left, top = int(shares[0] * width), int(shares[1] * height)
    return left, top, max(left + 1, round(shares[2] * width)), max(top + 1, round(shares[3] * height))


def _module(name: str) -> Module:
    module = find(name)
    if module is None:
        raise InvalidRequest(f"there is no preprocessor {name!r}")
    if module.refused:
        raise InvalidRequest(f"the preprocessor {name!r} is not supported: {module.refused}")
    return module


def _covering(mask: Plane | None, pixels: Pixels, module: str) -> Plane:
    """The mask at the size of the picture that it masks. Without one, harmonious inpainting is shown the whole picture."""
    if mask is None and module == "inpaint":
        return np.zeros(pixels.shape[:2], np.uint8)
    if mask is None:
        raise InvalidRequest(f"the preprocessor {module!r} needs a mask")
    return fit_mask(mask, pixels.shape[1], pixels.shape[0], "stretch")
