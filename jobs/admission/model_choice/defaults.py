"""Generation parameters of a checkpoint, which dialects use where a request says nothing.

Order: what the request says, then its style preset, then these, then the defaults of the dialect.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from access.models import AccessKey, BusinessSource
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from models_registry.errors import ModelNotFound
from models_registry.facts.generation_defaults import MULTIPLE, SMALLEST
from models_registry.family_facts import family_facts
from models_registry.models import Kind, ModelFile
from models_registry.selectors import resolve

MAX_PROMPT = 32_000  # characters that a generation request may have
Size = tuple[int, int]


@dataclass(frozen=True)
class ModelDefaults:
    """None or empty: the checkpoint has no such default. Steps and size are within the limits of source and key."""

    steps: int | None = None
    guidance_scale: float | None = None
    sampler: str = ""
    scheduler: str = ""
    size: Size | None = None
    clip_skip: int | None = None
    negative_prompt: str = ""
    prompt_prefix: str = ""
    most_steps: int | None = None  # limit of source and key
    embedded_guidance: bool = False  # the denoiser reads the guidance scale itself

    def limited(self, steps: int) -> int:
        """A number of steps that the request does not name, within the limits."""
        return min(steps, self.most_steps or steps)

    def sampling(self) -> dict[str, str]:
        """Sampler and scheduler for a request that names neither: they belong together."""
        if self.sampler:
            return {"sampler": self.sampler, "scheduler": self.scheduler or sampler_catalog.AUTOMATIC}
        return {"scheduler": self.scheduler} if self.scheduler else {}

    def prefixed(self, prompt: str) -> str:
        """The prompt after the checkpoint's prefix, unless it begins with it already, as that of a repeated job does."""
        prefix = self.prompt_prefix.strip().rstrip(",").rstrip()
        if not prefix or prompt.lstrip().lower().startswith(prefix.lower()):
            return prompt
        whole = f"{prefix}, {prompt}" if prompt.strip() else prefix
        return whole if len(whole) <= MAX_PROMPT else prompt

    def fields(self, named: Container[str] = ()) -> dict[str, Any]:
        """The defaults by the names of the generation request, without those that the checkpoint does not have.

        ``named``: fields that the request names, which are left out. The scheduler belongs to the sampler: the default one is
        used if the request names neither.
        """
        width, height = self.size or (None, None)
        values = {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance_scale,
            **self.sampling(),
            "width": width,
            "height": height,
            "clip_skip": self.clip_skip,
            "negative_prompt": self.negative_prompt,
        }
        if "sampler" in named or "scheduler" in named:
            values |= {"sampler": "", "scheduler": ""}
        return {
            name: value for name, value in values.items() if value not in (None, "") and name not in named
        }


NONE = ModelDefaults()


def defaults_of(
    name: str, source: BusinessSource, key: AccessKey | None = None, *, dialect: str = ""
) -> ModelDefaults:
    """Defaults of the checkpoint of this name; without a name, of the default checkpoint.

    A name that admission refuses has no defaults. ``dialect``: as for ``resolve``.
    """
    try:
        checkpoint = resolve(Kind.CHECKPOINT, name, source, dialect=dialect if name else "")
    except ModelNotFound:
        return NONE
    return of_checkpoint(checkpoint, source, key)


def of_checkpoint(
    checkpoint: ModelFile, source: BusinessSource, key: AccessKey | None = None
) -> ModelDefaults:
    """Defaults of a resolved checkpoint."""
    holders: list[BusinessSource | AccessKey] = [source, *([key] if key else [])]
    most_steps = min((holder.max_steps for holder in holders if holder.max_steps), default=None)
    steps = checkpoint.default_steps
    family = family_facts(checkpoint)
    return ModelDefaults(
        steps=min(steps, most_steps) if steps and most_steps else steps,
        guidance_scale=checkpoint.default_guidance_scale,
        sampler=checkpoint.default_sampler,
        scheduler=checkpoint.default_scheduler,
        size=_within(checkpoint, holders),
        clip_skip=checkpoint.default_clip_skip,
        negative_prompt=checkpoint.default_negative_prompt,
        prompt_prefix=checkpoint.prompt_prefix,
        most_steps=most_steps,
        embedded_guidance=family is not None and family.guidance == "embedded",
    )


def _within(checkpoint: ModelFile, holders: list[BusinessSource | AccessKey]) -> Size | None:
    """The default size, scaled down in proportion to what the limits allow."""
    width, height = checkpoint.default_width, checkpoint.default_height
    if not width or not height:
        return None
    shrinks = [holder.max_width / width for holder in holders if holder.max_width]
    shrinks += [holder.max_height / height for holder in holders if holder.max_height]
    shrink = min([1.0, *shrinks])
    return _side(width * shrink), _side(height * shrink)


def _side(length: float) -> int:
    return max(SMALLEST, int(length) // MULTIPLE * MULTIPLE)
