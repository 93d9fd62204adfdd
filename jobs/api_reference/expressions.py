"""What the dialects share when they express a generation request in their own fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydantic import ValidationError

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.prompt.extra_networks import extra_networks
from gpu_runner.protocol.request_parts.passes import LoraUse
from jobs.errors import Refused


class NotExpressible(Exception):
    """The dialect has no such request. The message is shown to users."""


@contextmanager
def refused_by(*errors: type[Exception]) -> Iterator[None]:
    """Raise NotExpressible in place of a refusal, or of one of these errors of a dialect."""
    refusals: tuple[type[Exception], ...] = (Refused, *errors)
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise NotExpressible(f"{place}: {first['msg']}") from error
    except refusals as error:
        raise NotExpressible(str(error)) from error


def without_tags(text: str) -> str:
    """A prompt without the tags of LoRAs."""
    return extra_networks(text)[0].strip()


def with_tags(text: str, loras: Sequence[LoraUse]) -> str:
    """A prompt with a tag for each LoRA, in A1111's syntax."""
    return " ".join(filter(None, [without_tags(text), *map(_tag, loras)]))


def _tag(lora: LoraUse) -> str:
    weights = f"{lora.text_encoder:g}" + (f":{lora.unet:g}" if lora.unet != lora.text_encoder else "")
    return f"<lora:{lora.name}:{weights}" + (f":dyn={lora.rank}>" if lora.rank else ">")


def one_weight(lora: LoraUse) -> float:
    """The weight of a LoRA for dialects that have one for both networks."""
    return lora.unet


def sampler_with_scheduler(request: GenerationRequest) -> str:
    """Sampler and scheduler in one name, as in "DPM++ 2M Karras"; the sampler alone with its own schedule."""
    return request.sampler if request.scheduler == "Automatic" else f"{request.sampler} {request.scheduler}"
