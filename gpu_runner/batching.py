"""Which of the pictures' asks the device serves next. Pure: the engine does what this decides."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from gpu_runner.tasks import Ask, DecodeAsk, DenoiseAsk, EncodeAsk, TextAsk

MOST_ROWS = 2  # that one picture adds to a UNet call: with its text, and with its negative text


class Waiting(Protocol):
    """A picture with an open ask."""

    ask: Ask
    since: int  # the turn in which it asked

    @property
    def checkpoint_key(self) -> str: ...


@dataclass(frozen=True)
class Limits:
    """The most that one call takes. Areas are in latent pixels, so that large pictures travel in smaller company."""

    rows: int
    row_area: int
    vae_area: int
    texts: int = 64

    def room(self, ask: Ask) -> int:
        """How many asks like this one fit in a call; at least one does."""
        match ask:
            case DenoiseAsk(question):
                height, width = question.x.shape[-2:]
                return max(1, min(self.rows, self.row_area // (height * width)) // MOST_ROWS)
            case EncodeAsk(pixels):
                return max(1, self.vae_area * 64 // (pixels.shape[-2] * pixels.shape[-1]))
            case DecodeAsk(latent):
                return max(1, self.vae_area // (latent.shape[-2] * latent.shape[-1]))
            case TextAsk():
                return self.texts

    def below(self, asks: Sequence[Ask]) -> Limits:
        """What to try after a call with these asks found too little memory."""
        areas = [
            ask.question.x.shape[-2] * ask.question.x.shape[-1] for ask in asks if isinstance(ask, DenoiseAsk)
        ]
        return replace(self, row_area=min(self.row_area, sum(areas) * MOST_ROWS // 2)) if areas else self


CPU_LIMITS = Limits(rows=16, row_area=16 * 64 * 64, vae_area=64 * 64)
CUDA_LIMITS = Limits(rows=64, row_area=64 * 64 * 64, vae_area=4 * 64 * 64)


def company(picture: Waiting) -> Hashable:
    """Pictures of the same company can share a call. What is in here can never be changed by a neighbour."""
    match picture.ask:
        case DenoiseAsk(question):
            texts = question.guidance.positive.shape[0]
            return DenoiseAsk, picture.checkpoint_key, tuple(question.x.shape), texts
        case EncodeAsk(pixels):
            return EncodeAsk, picture.checkpoint_key, tuple(pixels.shape)
        case DecodeAsk(latent):
            return DecodeAsk, picture.checkpoint_key, tuple(latent.shape)
        case TextAsk(clip_skip=clip_skip):
            return TextAsk, picture.checkpoint_key, clip_skip


P = TypeVar("P", bound=Waiting)


def choose(pictures: Sequence[P], limits: Limits, *, steps_are_due: bool) -> list[P]:
    """The company that has waited longest, and of several the largest.

    What lets a picture join (texts, encodings) or leave (decodings) goes before steps, but never twice in a row.
    """
    steps = [picture for picture in pictures if isinstance(picture.ask, DenoiseAsk)]
    others = [picture for picture in pictures if not isinstance(picture.ask, DenoiseAsk)]
    candidates = steps if steps and (steps_are_due or not others) else others
    if not candidates:
        return []
    group = min(_companies(candidates), key=lambda group: (group[0].since, -len(group)))
    return group[: limits.room(group[0].ask)]


def _companies(pictures: Sequence[P]) -> list[list[P]]:
    groups: dict[Hashable, list[P]] = {}
    for picture in sorted(pictures, key=lambda picture: picture.since):
        groups.setdefault(company(picture), []).append(picture)
    return list(groups.values())
