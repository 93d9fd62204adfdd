"""Routes whose work is not a client's here: they are answered, and say what is not done."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from .base import A1111View
from .body import read_object
from .coercion import string
from .errors import Unprocessable, WireError
from .fields import Field, parse

CAPTIONERS = ("clip", "deepdanbooru")
INTERROGATE = {"image": Field(string, "", nullable=False), "model": Field(string, "clip", nullable=False)}


class Interrogate(A1111View):
    """Refused as long as the registry has no kind of model that describes pictures."""

    def post(self, request: Request) -> Response:
        asked = parse(INTERROGATE, read_object(request._request))
        if asked["model"] not in CAPTIONERS:
            raise WireError(404, detail="Model not found")
        why = _("pictures cannot be described here: there is no captioning model")
        raise Unprocessable.unsupported(("body", "model"), why)


class Weights(A1111View):
    """Runners load and unload by what all their clients need: one client's wish does nothing."""

    def post(self, request: Request) -> Response:
        return Response({})


class Training(A1111View):
    def post(self, request: Request) -> Response:
        read_object(request._request)
        raise WireError(501, detail=_("Nothing is trained here."))


ROUTES: dict[str, Any] = {
    "interrogate": Interrogate,
    "unload-checkpoint": Weights,
    "reload-checkpoint": Weights,
    "create/embedding": Training,
    "create/hypernetwork": Training,
    "train/embedding": Training,
    "train/hypernetwork": Training,
}
