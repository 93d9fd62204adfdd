"""Parameters of an image as values of the playground's form."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from access.models import BusinessSource
from access.tenancy import visible_sources
from console.tenants.roles import SUBMIT_JOBS, VIEW_IMAGES
from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.prompt.extra_networks import extra_networks
from gpu_runner.protocol.request_parts.passes import LoraUse
from jobs.models import Output, OutputKind
from models_registry.errors import ModelNotFound
from models_registry.lora_tags import lora_use
from models_registry.models import Kind
from models_registry.selectors import resolve

MAX_EXACT = 2**53 - 1  # JavaScript's integers
COPIED = (
    *("negative_prompt", "sampler", "scheduler", "width", "height", "num_inference_steps", "guidance_scale"),
)
COPIED_IF_SET = ("vae", "clip_skip")  # other than by default; not every form has them
# Say nothing about the image that the form could take over: the file's format, what belongs to the source, and seeds.
IRRELEVANT = frozenset(
    {"task", "output_format", "output_quality", "preview_every", "num_images", "batch_size", "seed"}
)
IRRELEVANT |= {"prompt", "loras", "embeddings", "checkpoint", "labels", "marks", "nsfw", "background"}


def parameters(request: HttpRequest) -> JsonResponse:
    """``source``, ``fields`` by name, and ``note``: where they come from and what the form cannot have."""
    if not request.user.has_perms((*VIEW_IMAGES, SUBMIT_JOBS)):
        raise PermissionDenied
    output = _visible(request)
    request_ = output.job.generation_request
    fields, left = form_values(request_, output.job.source, seed=output.seed)
    note = _("Parameters of image %(n)d of job %(job)s.") % {"n": output.index, "job": str(output.job_id)[:8]}
    return JsonResponse(
        {
            "source": output.job.source.name,
            "fields": fields,
            "note": note,
            "left": left,
            "left_text": _("Not taken over:"),
        },
        headers={"Cache-Control": "no-store"},
    )


def _visible(request: HttpRequest) -> Output:
    try:
        job, index = uuid.UUID(request.GET.get("job", "")), int(request.GET.get("image", "0"))
    except ValueError as error:
        raise BadRequest("invalid job or image") from error
    outputs = Output.objects.filter(kind=OutputKind.IMAGE, job=job).select_related("job", "job__source")
    sources = visible_sources(request.user)
    if sources is not None:
        outputs = outputs.filter(job__source__in=sources)
    return get_object_or_404(outputs, index=index if 0 <= index < 2**31 else -1)


def form_values(
    request: GenerationRequest, source: BusinessSource, *, seed: int
) -> tuple[dict[str, Any], list[str]]:
    """Values of the form's fields, and the names of the parameters that have none."""
    fields = {name: getattr(request, name) for name in COPIED}
    changed = request.model_dump(exclude_defaults=True, mode="json")
    fields |= {name: changed[name] for name in COPIED_IF_SET if name in changed}
    left = [name for name in changed if name not in fields.keys() | IRRELEVANT]
    if seed <= MAX_EXACT:
        fields["seed"] = seed
    else:
        left.append("seed")
    fields["prompt"], without_tag = _with_lora_tags(request.prompt, request.loras, source)
    left += without_tag
    name = _usable(Kind.CHECKPOINT, request.checkpoint, source)
    if name:
        fields["checkpoint"] = name
    elif request.checkpoint:
        left.append(request.checkpoint)
    return fields, left


def _with_lora_tags(prompt: str, loras: tuple[LoraUse, ...], source: BusinessSource) -> tuple[str, list[str]]:
    """The prompt with a tag for each LoRA that it does not name yet, and the LoRAs that cannot have one."""
    tagged = {_name_of(tag, source) for tag in extra_networks(prompt)[1]}
    tags, left = [], []
    for lora in loras:
        if lora.name in tagged:
            continue
        if set(lora.name) & set("<>:") or lora.rank or not _usable(Kind.LORA, lora.name, source):
            left.append(f"LoRA {lora.name}")
        else:
            tags.append(f"<lora:{lora.name}:{lora.text_encoder:g}:{lora.unet:g}>")
    return " ".join([prompt, *tags]), left


def _name_of(tag: Any, source: BusinessSource) -> str:
    try:
        return str(lora_use(tag, source)["name"])
    except (ModelNotFound, ValueError):
        return str(tag.name)


def _usable(kind: str, name: str, source: BusinessSource) -> str:
    if not name:
        return ""
    try:
        return resolve(kind, name, source).name
    except ModelNotFound:
        return ""
