"""Which of the pictures' asks the device serves next. Pure: the engine does what this decides."""

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
MAX_TURNS_WAITED = 4  # turns after which a picture goes before those in fuller calls


class WaitingOperation(Protocol):
    """A picture with an open ask."""

    ask: Operation
    since: int  # the turn in which it asked


@dataclass(frozen=True)
class Limits:
    """The most that one call takes. Areas are in latent pixels, so that large pictures travel in smaller company."""

    rows: int
    row_area: int
    vae_area: int
    texts: int = 64

    def admit(self, company: Sequence[Operation], ask: Operation) -> bool:
        """Whether one more fits into a call. The first always does."""
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
        """What to try after a call with these asks found too little memory."""
        areas = [
            ask.question.x.shape[-2] * ask.question.x.shape[-1] * ask.question.seats
            for ask in asks
            if isinstance(ask, Denoise)
        ]
        return replace(self, row_area=min(self.row_area, sum(areas) // 2)) if areas else self


def row_count(asks: Sequence[Operation]) -> int:
    return sum(ask.question.seats for ask in asks if isinstance(ask, Denoise))


def _reach_one_length(asks: Sequence[Operation]) -> bool:
    """Repeated to their common multiple, contexts of different lengths mean what they meant; but no call for the sake of it
    may become much longer than its longest one."""
    lengths = [ask.question.guidance.length for ask in asks if isinstance(ask, Denoise)]
    return not lengths or lcm(*lengths) <= MOST_STRETCHING * max(lengths)


CPU_LIMITS = Limits(rows=16, row_area=16 * 64 * 64, vae_area=64 * 64)
CUDA_LIMITS = Limits(rows=64, row_area=64 * 64 * 64, vae_area=4 * 64 * 64)


def company(ask: Operation) -> Hashable:
    """Asks of the same company can share a call. What is in here can never be changed by a neighbour."""
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
    """Of the part that answers: variations of a checkpoint share the calls of what they have in common."""
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
    """The call that fills most rows, unless somebody has waited for PATIENCE turns: then his.

    What lets a picture join (texts, encodings) or leave (decodings) goes before steps, but never twice in a row. So no
    step waits for more than PATIENCE turns, and two more for each call that has to be made for those who wait as long.
    """
    steps = [picture for picture in pictures if isinstance(picture.ask, Denoise)]
    others = [picture for picture in pictures if not isinstance(picture.ask, Denoise)]
    candidates = steps if steps and (steps_are_due or not others) else others
    if not candidates:
        return []
    return min((_crew(group, limits) for group in _companies(candidates)), key=partial(_place, turn))


def _place(turn: int, crew: Sequence[WaitingOperation]) -> tuple[int, int, int]:
    """The lowest goes next. A crew's first is its oldest."""
    since = crew[0].since
    if turn - since >= MAX_TURNS_WAITED:
        return 0, since, 0
    asks = [picture.ask for picture in crew]
    return 1, -(row_count(asks) or len(asks)), since


def _crew(group: Sequence[P], limits: Limits) -> list[P]:
    """As many as one call takes, the oldest first."""
    crew: list[P] = []
    for picture in group:
        if limits.admit([one.ask for one in crew], picture.ask):
            crew.append(picture)
    return crew


def _companies(pictures: Sequence[P]) -> list[list[P]]:
    groups: dict[Hashable, list[P]] = {}
    for picture in sorted(pictures, key=lambda picture: picture.since):
        groups.setdefault(company(picture.ask), []).append(picture)
    return list(groups.values())
