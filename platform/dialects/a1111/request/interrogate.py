"""Parse requests of ``/interrogate``: an analysis by a tagger, or a description by the operator's vision model."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey
from dialects.a1111.authentication import DIALECT
from dialects.a1111.errors import Unprocessable, WireError
from dialects.a1111.options import options
from dialects.a1111.schema import images
from dialects.a1111.schema.coercion import string
from dialects.a1111.schema.fields import Field, parse
from gpu_runner.protocol import Analysis, GenerationRequest, InputImage
from jobs.admission.submission import Submission
from jobs.models import Lane
from jobs.text_model import client, functions
from models_registry.errors import ModelNotFound, ModelUnusable
from models_registry.models import Kind
from models_registry.selectors import resolve

from .image_urls import with_fetched_images

OPERATION = "interrogate"
CAPTIONER, TAGGER = "clip", "deepdanbooru"
FIELDS = {"image": Field(string, "", nullable=False), "model": Field(string, CAPTIONER, nullable=False)}
THRESHOLD = "interrogate_deepbooru_score_threshold"
FORMAT_OPTIONS = (
    "interrogate_return_ranks",
    "deepbooru_sort_alpha",
    "deepbooru_use_spaces",
    "deepbooru_escape",
    "deepbooru_filter_tags",
)


def read_submission(key: AccessKey, body: dict[str, Any], base_url: str) -> Submission:
    """Parse the body. Raises Unprocessable or WireError."""
    parameters = parse(FIELDS, body)
    tagger = _tagger(parameters["model"], key)
    data = _image(parameters, key, base_url)
    settings = options.EffectiveOptions(key, {}, restore=True)
    threshold = settings[THRESHOLD]  # as in the original, the same for all categories of tags
    return Submission(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=OPERATION,
        request=GenerationRequest(
            task="analyze",
            init_images=(InputImage(sha256=images.sha256(data)),),
            checkpoint=settings["sd_model_checkpoint"] or "",
            analysis=Analysis(find="tags", model=tagger, threshold=threshold, character_threshold=threshold),
        ),
        received={
            "parameters": {"model": parameters["model"]},
            "options": {name: settings[name] for name in FORMAT_OPTIONS},
        },
        input_files={images.sha256(data): data},
        lane=Lane.INTERACTIVE,
    )


def is_for_captioner(body: dict[str, Any]) -> bool:
    return parse(FIELDS, body)["model"] == CAPTIONER


def described(key: AccessKey, body: dict[str, Any], base_url: str) -> str:
    """Description of the image in a sentence. Raises Unprocessable, WireError or Refused."""
    if not (client.is_vision_configured() and key.source.text_model):
        reason = _(
            "the model clip is not available: there is no captioning model. Use deepdanbooru, which returns tags"
        )
        raise Unprocessable.unsupported(("body", "model"), reason)
    return functions.describe(_image(parse(FIELDS, body), key, base_url))


def _image(parameters: dict[str, Any], key: AccessKey, base_url: str) -> bytes:
    return images.decode(with_fetched_images(parameters, key.source, base_url)["image"], "image")


def _tagger(model: str, key: AccessKey) -> str:
    """Name of the tagger in the registry; empty for the default one."""
    if model == TAGGER:
        return ""
    try:
        return resolve(Kind.TAGGER, model or "\0", key.source).name
    except ModelUnusable as error:
        raise Unprocessable.unsupported(("body", "model"), str(error)) from error
    except ModelNotFound:
        raise WireError(404, detail="Model not found") from None
