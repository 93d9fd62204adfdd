"""Requests of lora_fine_tune, fine_tune and fine_tune_v2 as trainings of this platform."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from access.models import AccessKey
from dialects.stablediffusionapi.authentication import DIALECT
from dialects.stablediffusionapi.errors import WireError
from dialects.stablediffusionapi.refusals import refusal
from dialects.stablediffusionapi.request.fields import not_supported
from dialects.stablediffusionapi.request.images import UNREACHABLE, decode_image, is_url, unusable
from jobs.admission.model_choice.trainable_bases import untrainable
from jobs.errors import Refused, Unsupported
from jobs.images.fetch import ImageFetcher
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.training.dataset import DatasetFile
from jobs.training.submission import TrainingRequest
from models_registry.errors import ModelNotFound
from models_registry.models import Family, Kind
from models_registry.selectors import list_for, resolve

from .fields import FORMS, parse

ID_LETTERS = string.ascii_letters + string.digits
ID_LENGTH = 10
BASE_TYPES = {"normal": (Family.SD15, Family.SD2), "sdxl": (Family.SDXL,)}
V2_STEPS, V2_RATE, V2_TEXT_RATE = 1500, 2e-6, 1e-6  # the vendor's examples
STORED = ("instance_prompt", "class_prompt", "training_type", "max_train_steps", "base_model_id", "seed")
WIRE_NAMES = {
    "base": "base_model_id",
    "checkpoint": "base_model_id",
    "trigger": "instance_prompt",
    "prompt": "instance_prompt",
    "callback": "webhook",
    "text_encoder_learning_rate": "learning_rate_text_encoder",
    "learning_rate": "learning_rate_unet",
}


@dataclass(frozen=True)
class Parsed:
    """``notes``: sentences about fields that have no effect here, for the response."""

    request: TrainingRequest
    notes: list[str]


def new_id() -> str:
    """A training id: a letter, then letters and digits. It is the name of the trained LoRA, too."""
    rest = "".join(secrets.choice(ID_LETTERS) for _number in range(ID_LENGTH - 1))
    return secrets.choice(string.ascii_letters) + rest


def read(form: str, key: AccessKey, given: Mapping[str, Any], base_url: str) -> Parsed:
    """The training that a request asks for. ``form``: a key of FORMS. Raises WireError."""
    values = parse(FORMS[form], given)
    if values.get("lora_type") == "lycoris":
        raise not_supported("lora_type", _("only LoRAs are trained here"))
    base = values.get("base_model_id") or _base_of_type(key, values.get("base_model_type"))
    training_id = new_id()
    callback = None
    if values["webhook"]:
        extra = {"track_id": values["track_id"]}
        callback = CallbackRequest(values["webhook"], extra=extra, base_url=base_url)
    request = TrainingRequest(
        source=key.source,
        key=key,
        dialect=DIALECT,
        operation=f"v3/{form}",
        external_id=training_id,
        name=training_id,
        files=list(_files(key, values["images"], base_url)),
        base=base,
        trigger=values["instance_prompt"],
        seed=values["seed"] or None,  # "0" is the vendor's default: random
        settings={"class_prompt": values["class_prompt"]} | _pace(form, values),
        received={name: values[name] for name in STORED if values.get(name) is not None},
        callback=callback,
    )
    return Parsed(request, list(_notes(form, values)))


def training_refusal(refused: Refused, form: str, base: str) -> WireError:
    """The error response of a refused training, with the field names of its endpoint."""
    names = WIRE_NAMES | {"steps": "steps_unet" if form == "fine_tune_v2" else "max_train_steps"}
    if form == "lora_fine_tune":
        names |= {"base": "base_model_type", "checkpoint": "base_model_type"}
    if type(refused) is Unsupported and refused.field is None:  # of the server or the source, not of a field
        return WireError(400, refused.message)
    refused.field = names.get(refused.field or "", refused.field)
    return refusal(refused, "v3", base)


def _pace(form: str, values: dict[str, Any]) -> dict[str, Any]:
    if form != "fine_tune_v2":
        return {"steps": values["max_train_steps"]}
    unet, text = values["learning_rate_unet"], values["learning_rate_text_encoder"]
    trains_text = values["steps_text_encoder"] != 0
    return {
        "steps": values["steps_unet"] or V2_STEPS,
        "learning_rate": V2_RATE if unet is None else unet,
        "text_encoder_learning_rate": (V2_TEXT_RATE if text is None else text) if trains_text else 0.0,
    }


def _base_of_type(key: AccessKey, base_type: str | None) -> str:
    """Name of the base checkpoint: the default one if it has the type, else the first one that has it."""
    if base_type is None:
        return ""
    families = BASE_TYPES[base_type]
    try:
        default = resolve(Kind.CHECKPOINT, "", key.source)
    except ModelNotFound:
        default = None
    if default is not None and default.family in families:
        return default.name
    for file in list_for(Kind.CHECKPOINT, key.source).filter(family__in=families).order_by("name"):
        if key.allows_model(Kind.CHECKPOINT, file.name) and not any(untrainable(file)):
            return file.name
    raise not_supported("base_model_type", _("there is no checkpoint of this type that can be trained"))


def _files(key: AccessKey, images: list[str], base_url: str) -> Iterator[DatasetFile]:
    """The images, downloaded. Raises WireError."""
    fetch = ImageFetcher(key.source, base_url, max_images=len(images))
    for number, text in enumerate(images):
        name = f"images.{number}"
        if not is_url(text):
            yield DatasetFile(name, decode_image(name, text, bare=False))
            continue
        if not settings.INPUT_URLS:
            raise unusable(UNREACHABLE, name, _("image URLs are disabled on this server."))
        try:
            yield DatasetFile(name, fetch(text))
        except Refused as refused:
            raise unusable(UNREACHABLE, name, refused.message) from refused


def _notes(form: str, values: dict[str, Any]) -> Iterator[str]:
    if form != "lora_fine_tune":
        yield _("The result is a LoRA for its base model: use its id as lora_model.")
    if values["training_type"]:
        yield _("training_type has no effect: the class is that of class_prompt.")
    for name in ("negative_prompt", "wandb_key"):
        if values.get(name):
            yield _("%(name)s has no effect.") % {"name": name}
    if values.get("steps_text_encoder"):
        yield _("steps_text_encoder has no effect besides 0: text encoders are trained as long as the UNet.")
