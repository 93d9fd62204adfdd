"""What an order needs before its first step, done beside the engine's thread: files read, pictures decoded."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor

from gpu_runner import catalogue, images
from gpu_runner.protocol import GenerationRequest, RunOrder
from gpu_runner.schedules import NoiseLevels
from gpu_runner.tasks import Plan

if TYPE_CHECKING:
    from gpu_runner.models import LoadedCheckpoint, ModelStore


class BadOrder(ValueError):
    """The message is fit for the client's eyes."""


@dataclass(frozen=True)
class Prepared:
    checkpoint: LoadedCheckpoint
    plan: Plan
    pictures: tuple[Image.Image, ...]

    def pixels(self, indices: range) -> list[Tensor | None]:
        """What each picture of a batch begins with. One picture for all is one tensor for all."""
        if not self.pictures:
            return [None for _ in indices]
        if len(self.pictures) == 1:
            return [images.to_tensor(self.pictures[0])] * len(indices)
        return [images.to_tensor(self.pictures[index]) for index in indices]


def prepare(store: ModelStore, order: RunOrder) -> Prepared:
    check(order.request)
    pictures = tuple(read_pictures(order))
    checkpoint = store.get(order.checkpoint)
    return Prepared(checkpoint, Plan.of(order.request, NoiseLevels(checkpoint.alphas_cumprod)), pictures)


def check(request: GenerationRequest) -> None:
    if request.sampler not in {sampler.name for sampler in catalogue.SAMPLERS}:
        raise BadOrder(f"there is no sampler {request.sampler!r}")
    if not catalogue.is_scheduler(request.scheduler):
        raise BadOrder(f"there is no scheduler {request.scheduler!r}")


def read_pictures(order: RunOrder) -> list[Image.Image]:
    request = order.request
    read: dict[str, Image.Image] = {}
    for sha256 in {picture.sha256 for picture in request.init_images}:
        picture = images.read(_decoded(order.inputs[sha256]))
        read[sha256] = images.resize(picture, request.width, request.height, request.resize_mode)
    return [read[picture.sha256] for picture in request.init_images]


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise BadOrder("a picture is not valid base64") from error
