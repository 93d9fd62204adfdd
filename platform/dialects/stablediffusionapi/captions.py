"""v6/image_editing/caption: a description by the operator's vision model or, without one, tags by a tagger."""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.errors import Refused
from jobs.text_model import client, functions

from .endpoints import ENDPOINTS
from .errors import message_fields
from .refusals import refusal
from .request.fields import not_supported, parse
from .request.images import InputImages
from .views import Generation

END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
SENTENCES = {"short": 1, "normal": 3, "long": None}
DESCRIBED = "image described"


class Caption(Generation):
    """A vision model answers at once and without a job; a tagger is a job like any other."""

    def post(self, request: Request) -> Response:
        if not (client.is_vision_configured() and self.source.text_model):
            return super().post(request)
        return Response(self._described())

    def _described(self) -> dict[str, Any]:
        values = parse(ENDPOINTS[self.path], self.given)
        if values["webhook"]:
            reason = _("a vision model describes the image, and the response has its description")
            raise not_supported("webhook", reason)
        images = InputImages(self.source, self.base_url, bare=bool(values["base64"]))
        image = images.take("init_image", values["init_image"])
        try:
            text = functions.describe(images.files[image.sha256])
        except Refused as refused:
            raise refusal(refused, self.edition, "") from refused
        return {"status": "success", **message_fields(DESCRIBED), "output": shortened(text, values["length"])}


def shortened(text: str, length: str | None) -> str:
    """The first sentences of a description."""
    sentences = [sentence for sentence in END_OF_SENTENCE.split(text.strip()) if sentence]
    return " ".join(sentences[: SENTENCES[length or "normal"]])
