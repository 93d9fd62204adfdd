"""Face restoration settings from A1111's fields and options."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from access.models import AccessKey, BusinessSource
from dialects.a1111.errors import Location, Unprocessable
from dialects.a1111.options.options import OVERRIDES, EffectiveOptions
from gpu_runner.protocol.request_parts.details import FaceRestoration
from jobs.admission import defaults
from jobs.admission.model_choice.resolution import ModelResolver
from jobs.admission.validation import CODEFORMER, is_codeformer
from jobs.errors import UnknownModel
from models_registry.errors import ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import resolve

GFPGAN = "GFPGAN"  # name of the GFPGAN restorer in the original, independent of its file name
OPTION = "face_restoration_model"
MAX_NAME_LENGTH = 100  # maximum length of a name in messages, in characters


def face_restorers(key: AccessKey) -> list[dict[str, Any]]:
    names = defaults.face_restorers(key.source)
    return [{"name": name, "cmd_dir": None} for name in dict.fromkeys([GFPGAN, *names] if names else [])]


def face_restoration(
    parameters: dict[str, Any], settings: EffectiveOptions, source: BusinessSource
) -> FaceRestoration | None:
    """Face restoration of a generation request; None if disabled. Raises Unprocessable."""
    requested = parameters["restore_faces"]
    name = settings[OPTION]
    if not (settings["face_restoration"] if requested is None else requested) or name == "None":
        return None
    if is_codeformer(name):
        raise Unprocessable.unsupported((*OVERRIDES, OPTION), str(CODEFORMER))
    try:
        model = resolve(Kind.FACE_RESTORER, name, source).name
    except ModelNotFound:
        if name != GFPGAN:
            message = _("unknown face restorer %s; faces are not restored") % name[:MAX_NAME_LENGTH]
            settings.fallbacks.add((*OVERRIDES, OPTION), message)
            return None
        model = ""
    return _with_models(source, FaceRestoration(model=model), ("body", "restore_faces"))


def by_visibility(parameters: dict[str, Any], source: BusinessSource) -> FaceRestoration | None:
    """Face restoration of an extras request, by visibility. Raises Unprocessable."""
    if parameters["codeformer_visibility"]:
        raise Unprocessable.unsupported(("body", "codeformer_visibility"), str(CODEFORMER))
    visibility = parameters["gfpgan_visibility"]
    if not visibility:
        return None
    return _with_models(source, FaceRestoration(visibility=visibility), ("body", "gfpgan_visibility"))


def _with_models(source: BusinessSource, part: FaceRestoration, location: Location) -> FaceRestoration:
    """Resolve the models here, so that the error names the wire field that requires them."""
    try:
        return defaults.with_models(ModelResolver(source), part)
    except UnknownModel as error:
        raise Unprocessable.unsupported(location, error.message) from None
