"""Batch selection: which pending operations the device executes next. Pure functions without side effects."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import lcm
from typing import Protocol, TypeVar

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

MOST_STRETCHING = 3
MAX_TURNS_WAITED = 4  # after so many turns, an image goes before larger batches


class WaitingOperation(Protocol):
    """An image with a pending operation."""

    ask: Operation
    since: int  # turn in which the operation was submitted


@dataclass(frozen=True)
class Limits:
    """Batch size limits of one call. Areas are in latent pixels, so larger images get smaller batches."""

    rows: int
    row_area: int
    vae_area: int
    texts: int = 64

    def admit(self, company: Sequence[Operation], ask: Operation) -> bool:
        """Whether an operation fits into the batch. The first one always does."""
        return not company or (self._have_room([*company, ask]) and _reach_one_length([*company, ask]))

    def _have_room(self, asks: Sequence[Operation]) -> bool:
        match asks[0]:
            case Denoise(question=question):
                height, width = question.x.shape[-2:]
                return row_count(asks) <= min(self.rows, self.row_area // (height * width))
            case (
                EncodeImage(pixels=pixels)
                | UpscaleTile(pixels=pixels)
                | RestoreFace(pixels=pixels)
                | EncodeHint(pixels=pixels)
            ):
                return len(asks) * pixels.shape[-2] * pixels.shape[-1] <= self.vae_area * 64
            case DecodeLatent(latent=latent):
                return len(asks) * latent.shape[-2] * latent.shape[-1] <= self.vae_area
            case EncodeText():
                return len(asks) <= self.texts

    def below(self, asks: Sequence[Operation]) -> Limits:
        """Return lower limits after these operations ran out of memory: half their UNet row area."""
        areas = [
            ask.question.x.shape[-2] * ask.question.x.shape[-1] * ask.question.seats
            for ask in asks
            if isinstance(ask, Denoise)
        ]
        return replace(self, row_area=min(self.row_area, sum(areas) // 2)) if areas else self


def row_count(asks: Sequence[Operation]) -> int:
    """Number of UNet rows of all Denoise operations."""
    return sum(ask.question.seats for ask in asks if isinstance(ask, Denoise))


def _reach_one_length(asks: Sequence[Operation]) -> bool:
    """Whether the contexts can be padded to a common length.

    Repetition to the least common multiple does not change the result, but that length may be at most
    MOST_STRETCHING times the longest context.
    """
    lengths = [ask.question.guidance.length for ask in asks if isinstance(ask, Denoise)]
    return not lengths or lcm(*lengths) <= MOST_STRETCHING * max(lengths)


CPU_LIMITS = Limits(rows=16, row_area=16 * 64 * 64, vae_area=64 * 64)
CUDA_LIMITS = Limits(rows=64, row_area=64 * 64 * 64, vae_area=4 * 64 * 64)


def company(ask: Operation) -> Hashable:
    """Return the batch key: operations with equal keys can share a call.

    It contains everything that must not depend on the other operations of the batch.
    """
    kind = type(ask), _part_key(ask)
    match ask:
        case Denoise(question=question):
            return kind, tuple(question.x.shape)
        case (
            EncodeImage(pixels=pixels)
            | UpscaleTile(pixels=pixels)
            | RestoreFace(pixels=pixels)
            | EncodeHint(pixels=pixels)
        ):
            return kind, tuple(pixels.shape)
        case DecodeLatent(latent=latent):
            return kind, tuple(latent.shape)
        case EncodeText(wording=wording):
            return kind, wording


def _part_key(ask: Operation) -> str:
    """Key of the model part that executes the operation. Checkpoint variants share unmodified parts."""
    match ask:
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


def choose(pictures: Sequence[P], limits: Limits, *, turn: int, steps_are_due: bool) -> list[P]:
    """Pick the batch with the most rows; an image that waited MAX_TURNS_WAITED turns goes first.

    Other operations (text encoding, VAE encode and decode) have priority over denoising steps, but never
    twice in a row. A step therefore waits at most MAX_TURNS_WAITED turns, plus two for each batch of images
    that have waited as long.
    """
    steps = [picture for picture in pictures if isinstance(picture.ask, Denoise)]
    others = [picture for picture in pictures if not isinstance(picture.ask, Denoise)]
    candidates = steps if steps and (steps_are_due or not others) else others
    if not candidates:
        return []
    return min((_batch(group, limits) for group in _groups(candidates)), key=partial(_place, turn))


def _place(turn: int, members: Sequence[WaitingOperation]) -> tuple[int, int, int]:
    """Sort key of a batch: the lowest is executed next. The first element is the oldest."""
    since = members[0].since
    if turn - since >= MAX_TURNS_WAITED:
        return 0, since, 0
    asks = [picture.ask for picture in members]
    return 1, -(row_count(asks) or len(asks)), since


def _batch(group: Sequence[P], limits: Limits) -> list[P]:
    """Fill a batch up to the limits, oldest first."""
    members: list[P] = []
    for picture in group:
        if limits.admit([one.ask for one in members], picture.ask):
            members.append(picture)
    return members


def _groups(pictures: Sequence[P]) -> list[list[P]]:
    groups: dict[Hashable, list[P]] = {}
    for picture in sorted(pictures, key=lambda picture: picture.since):
        groups.setdefault(company(picture.ask), []).append(picture)
    return list(groups.values())
