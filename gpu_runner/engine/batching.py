"""Batch selection: which pending operations the device executes next. Pure functions without side effects."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import lcm
from typing import Protocol, TypeVar

from gpu_runner.networks.diffusion.guidance import DenoiseInput
from gpu_runner.networks.loaded import LoadedCheckpoint
from gpu_runner.networks.operations import (
    DecodeLatent,
    Denoise,
    EncodeHint,
    EncodeImage,
    EncodeText,
    Operation,
    RestoreFace,
    UpscaleTile,
)

MAX_PADDING_FACTOR = 3
TEXT_BUCKET = 128  # tokens; texts of masked or ragged calls differ by less than this
MAX_TURNS_WAITED = 4  # after so many turns, an image goes before larger batches


class WaitingOperation(Protocol):
    """An image with a pending operation."""

    operation: Operation
    since: int  # turn in which the operation was submitted


@dataclass(frozen=True)
class Limits:
    """Batch size limits of one call. Areas are in latent pixels, so larger images get smaller batches."""

    rows: int
    row_area: int
    vae_area: int
    texts: int = 64

    def admit(self, batch: Sequence[Operation], operation: Operation) -> bool:
        """Whether an operation fits into the batch. The first one always does."""
        return not batch or (self._fit([*batch, operation]) and _have_common_length([*batch, operation]))

    def _fit(self, operations: Sequence[Operation]) -> bool:
        match operations[0]:
            case Denoise(input=denoise_input):
                return row_count(operations) <= min(self.rows, self.row_area // denoise_input.area)
            case (
                EncodeImage(pixels=pixels)
                | UpscaleTile(pixels=pixels)
                | RestoreFace(pixels=pixels)
                | EncodeHint(pixels=pixels)
            ):
                return len(operations) * pixels.shape[-2] * pixels.shape[-1] <= self.vae_area * 64
            case DecodeLatent(latent=latent):
                return len(operations) * latent.shape[-2] * latent.shape[-1] <= self.vae_area
            case EncodeText():
                return len(operations) <= self.texts

    def below(self, operations: Sequence[Operation]) -> Limits:
        """Return lower limits after these operations ran out of memory: half their UNet row area."""
        areas = [
            operation.input.area * operation.input.total_rows
            for operation in operations
            if isinstance(operation, Denoise)
        ]
        return replace(self, row_area=min(self.row_area, sum(areas) // 2)) if areas else self


def row_count(operations: Sequence[Operation]) -> int:
    """Number of UNet rows of all Denoise operations."""
    return sum(operation.input.total_rows for operation in operations if isinstance(operation, Denoise))


def _have_common_length(operations: Sequence[Operation]) -> bool:
    """Whether the contexts can be padded to a common length.

    Repetition to the least common multiple does not change the result, but that length may be at most
    MAX_PADDING_FACTOR times the longest context.
    """
    lengths = [
        operation.input.guidance.length
        for operation in operations
        if isinstance(operation, Denoise) and operation.model.facts.flow is None
    ]
    return not lengths or lcm(*lengths) <= MAX_PADDING_FACTOR * max(lengths)


CPU_LIMITS = Limits(rows=16, row_area=16 * 64 * 64, vae_area=64 * 64)
CUDA_LIMITS = Limits(rows=64, row_area=64 * 64 * 64, vae_area=4 * 64 * 64)


def batch_key(operation: Operation) -> Hashable:
    """Return the batch key: operations with equal keys can share a call.

    It contains everything that must not depend on the other operations of the batch.
    """
    kind = type(operation), _model_part_key(operation)
    match operation:
        case Denoise(model=model, input=denoise_input):
            return kind, tuple(denoise_input.x.shape), _text_bucket(model, denoise_input)
        case (
            EncodeImage(pixels=pixels)
            | UpscaleTile(pixels=pixels)
            | RestoreFace(pixels=pixels)
            | EncodeHint(pixels=pixels)
        ):
            return kind, tuple(pixels.shape)
        case DecodeLatent(latent=latent):
            return kind, tuple(latent.shape)
        case EncodeText(options=options):
            return kind, options


def _text_bucket(model: LoadedCheckpoint, denoise_input: DenoiseInput) -> tuple[Hashable, ...]:
    """Lengths of the texts, of families whose texts cannot be padded: rows of other lengths would need calls of their own.

    And the sizes of the reference images, whose tokens are among those of the row.
    """
    if model.facts.flow is None:
        return ()
    texts = denoise_input.guidance.conditionings
    references = tuple(tuple(latent.shape) for latent in denoise_input.references)
    if model.facts.text[0].padded:
        return *sorted({len(text.context) for text in texts}), references
    return -(-max(len(text.context) for text in texts) // TEXT_BUCKET), references


def _model_part_key(operation: Operation) -> str:
    """Key of the model part that executes the operation. Checkpoint variants share unmodified parts."""
    match operation:
        case Denoise(model=model):
            return model.unet_key
        case EncodeImage(model=model) | DecodeLatent(model=model):
            return model.vae_key
        case EncodeText(model=model):
            return model.text_key
        case UpscaleTile(model=upscaler):
            return upscaler.key
        case RestoreFace(model=restorer):
            return restorer.key
        case EncodeHint(model=controlnet):
            return controlnet.key


P = TypeVar("P", bound=WaitingOperation)


def choose(waiting: Sequence[P], limits: Limits, *, turn: int, steps_are_due: bool) -> list[P]:
    """Pick the batch with the most rows; an image that waited MAX_TURNS_WAITED turns goes first.

    Other operations (text encoding, VAE encode and decode) have priority over denoising steps, but never
    twice in a row. A step therefore waits at most MAX_TURNS_WAITED turns, plus two for each batch of images
    that have waited as long.
    """
    steps = [image for image in waiting if isinstance(image.operation, Denoise)]
    others = [image for image in waiting if not isinstance(image.operation, Denoise)]
    candidates = steps if steps and (steps_are_due or not others) else others
    if not candidates:
        return []
    return min((_batch(group, limits) for group in _groups(candidates)), key=partial(_priority, turn))


def _priority(turn: int, members: Sequence[WaitingOperation]) -> tuple[int, int, int]:
    """Sort key of a batch: the lowest is executed next. The first element is the oldest."""
    since = members[0].since
    if turn - since >= MAX_TURNS_WAITED:
        return 0, since, 0
    operations = [image.operation for image in members]
    return 1, -(row_count(operations) or len(operations)), since


def _batch(group: Sequence[P], limits: Limits) -> list[P]:
    """Fill a batch up to the limits, oldest first."""
    members: list[P] = []
    for image in group:
        if limits.admit([one.operation for one in members], image.operation):
            members.append(image)
    return members


def _groups(waiting: Sequence[P]) -> list[list[P]]:
    groups: dict[Hashable, list[P]] = {}
    for image in sorted(waiting, key=lambda image: image.since):
        groups.setdefault(batch_key(image.operation), []).append(image)
    return list(groups.values())
