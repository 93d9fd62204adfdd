"""The task "upscale": pictures in, larger pictures out, and no checkpoint."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from gpu_runner.imaging import images
from gpu_runner.imaging.images import BadPicture, Size
from gpu_runner.networks.operations import Aside, Ask
from gpu_runner.protocol.upscaler_catalog import NONE

from .denoising_loop import Brake
from .face_restoration import Patches, Restoration
from .generation import Drawn, Task
from .init_image import Source
from .tiled_upscaling import MOST_PIXELS, enlarge, run_by_itself

if TYPE_CHECKING:
    from gpu_runner.networks.loaded import LoadedUpscaler
    from gpu_runner.protocol.generation_request import GenerationRequest, Upscale

MULTIPLE = 8  # to which sizes by a factor are rounded down


@dataclass(frozen=True)
class EnlargingPlan:
    request: GenerationRequest
    upscale: Upscale
    sources: tuple[Source, ...]
    first: LoadedUpscaler | str
    second: LoadedUpscaler | str
    faces: Restoration | None = None  # of the enlarged pictures
    steps: int = 1  # a picture

    @classmethod
    def of(
        cls,
        request: GenerationRequest,
        upscale: Upscale,
        sources: tuple[Source, ...],
        first: LoadedUpscaler | str,
        second: LoadedUpscaler | str,
    ) -> EnlargingPlan:
        """Raises BadPicture where a result would be too large, before anything is done."""
        for source in sources:
            enlarged_size(source.picture.size, upscale)
        return cls(request, upscale, sources, first, second)

    def begin(self, index: int, brake: Brake) -> Task:
        return _task(self, self.sources[index if len(self.sources) > 1 else 0].picture)


def _task(plan: EnlargingPlan, picture: Image.Image) -> Task:
    """Interpolation needs no device: it is left for those who write the file."""
    interpolates = isinstance(plan.first, str) and isinstance(plan.second, str)
    if interpolates and plan.faces is None:
        return Drawn(picture, lambda small: run_by_itself(_enlarged(plan, small)))
    if interpolates:
        large = yield Aside(lambda: run_by_itself(_enlarged(plan, picture)))
    else:
        large = yield from _enlarged(plan, picture)
    patches = (yield from plan.faces.patches(large)) if plan.faces else Patches()
    return Drawn(large, patches.over)


def _enlarged(plan: EnlargingPlan, picture: Image.Image) -> Generator[Ask, Any, Image.Image]:
    upscale = plan.upscale
    large = yield from _by(plan.first, picture, upscale)
    if plan.second == NONE or upscale.upscaler_2_visibility == 0:
        return large
    other = images.resize((yield from _by(plan.second, picture, upscale)), *large.size, "stretch")
    return Image.blend(large, other, upscale.upscaler_2_visibility)


def _by(
    upscaler: LoadedUpscaler | str, picture: Image.Image, upscale: Upscale
) -> Generator[Ask, Any, Image.Image]:
    if upscaler == NONE:
        return picture
    width, height = enlarged_size(picture.size, upscale)
    large = yield from enlarge(upscaler, picture, width, height)
    return images.centre(large, upscale.width, upscale.height) if upscale.crop and upscale.width else large


def enlarged_size(size: Size, upscale: Upscale) -> Size:
    """Before it is cut to the size asked for."""
    if upscale.width and upscale.height:
        width, height = images.covering(size, upscale.width, upscale.height)
    else:
        width, height = (max(MULTIPLE, int(side * upscale.scale) // MULTIPLE * MULTIPLE) for side in size)
    if width * height > MOST_PIXELS:
        raise BadPicture(f"the enlarged picture would have {width}x{height} pixels, more than {MOST_PIXELS}")
    return width, height
