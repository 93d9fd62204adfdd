"""A generation request as an example call of each dialect, with the fields that the dialect cannot express.

What a call lacks is not listed by hand: the dialect reads the call as it would read a client's, and what it would store
is compared with what was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from access.models import AccessKey
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.prompt.extra_networks import extra_networks
from jobs.admission.admit import understood
from jobs.admission.prompts import rewriting as prompt_rewriting

from . import dialects
from .examples.call import Call
from .expressions import NotExpressible, refused_by
from .reference import Context

# Without influence on the images: how they are watched, and how many are denoised at the same time.
NO_INFLUENCE = frozenset({"preview_every", "batch_size"})
SEEDS = ("seed", "subseed")


@dataclass(frozen=True)
class Expressed:
    """A call, and the fields of the request that it lacks; or the reason why there is no call."""

    call: Call | None = None
    lacking: tuple[str, ...] = ()
    reason: str = ""


def expressed(dialect: str, body: dict[str, Any], key: AccessKey, context: Context) -> Expressed:
    """The call of a body of the native API in a dialect. Raises KeyError for an unknown dialect.

    ``key``: as whose request it is read. Without a seed in the body, the call has none either.
    """
    native, chosen = dialects.get(dialects.NATIVE), dialects.get(dialect)
    sent = native.express(GenerationRequest(), context)
    sent = replace(sent, body={name: value for name, value in body.items() if name != "preview_every"})
    try:
        with refused_by():
            asked = native.read(key, sent)
            wanted = understood(asked)
            if dialect == dialects.NATIVE:
                return Expressed(sent)
            call = chosen.express(wanted, context)
            given = chosen.read(key, call)
            lacking = list(differences(wanted, understood(given)))
    except NotExpressible as error:
        return Expressed(reason=str(error))
    if prompt_rewriting.mode_of(asked) != prompt_rewriting.mode_of(given):
        lacking.append("prompt_mode")
    if "seed" not in body:
        call = replace(call, body={name: value for name, value in call.body.items() if name not in SEEDS})
    return Expressed(call, tuple(lacking))


def differences(wanted: GenerationRequest, found: GenerationRequest) -> Iterator[str]:
    """Fields by which two requests differ in their images: ``hires.upscaler``, ``controls.0.weight``."""
    ours, theirs = _comparable(wanted), _comparable(found)
    for name, value in ours.items():
        if name not in NO_INFLUENCE:
            yield from _different(name, value, theirs.get(name))


def _different(path: str, ours: Any, theirs: Any) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        for name in ours:
            yield from _different(f"{path}.{name}", ours[name], theirs[name])
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from _different(f"{path}.{index}", *pair)
    elif ours != theirs:
        yield path


def _comparable(request: GenerationRequest) -> dict[str, Any]:
    """The fields of a request, with one form for what can be written in several ways."""
    fields = request.model_dump(mode="json")
    for part in filter(None, (fields, fields["hires"])):
        for name in ("prompt", "negative_prompt"):  # tags are compared as loras
            part[name] = " ".join(extra_networks(part[name])[0].split())
        if sampler_catalog.is_sampler(part["sampler"]):
            part["scheduler"] = sampler_catalog.effective_scheduler(part["sampler"], part["scheduler"])
            if part["eta"] is None:
                part["eta"] = sampler_catalog.sampler(part["sampler"]).default_eta
    if fields["hires"]:
        del fields["hires"]["scale"]  # for the infotext; its size counts
    if not fields["subseed_strength"]:
        del fields["subseed"]
    return fields
