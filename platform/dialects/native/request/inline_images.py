"""Pictures that came inside of a request: data URIs where the canonical request has a picture."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

from django.utils.translation import gettext as _
from pydantic import BaseModel

from dialects.native.errors import Complaint, Problem
from gpu_runner.protocol import GenerationRequest, Picture

from .json_body import models_in

SHA256 = re.compile(r"[0-9a-f]{64}")
DATA_URI = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)


class InlinePictures:
    """Takes the pictures out of a body; ``files`` has them by their SHA-256."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def take_from(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._model(GenerationRequest, body, [])

    def _model(self, model: type[BaseModel], value: dict[str, Any], loc: list[str | int]) -> dict[str, Any]:
        fields = model.model_fields
        return {
            name: self._value(models_in(fields[name].annotation), part, [*loc, name])
            if name in fields
            else part
            for name, part in value.items()
        }

    def _value(self, models: set[type[BaseModel]], value: Any, loc: list[str | int]) -> Any:
        if isinstance(value, list):
            return [self._value(models, item, [*loc, index]) for index, item in enumerate(value)]
        if isinstance(value, str) and Picture in models:
            return {"sha256": self._named(value, loc)}
        for model in models - {Picture}:
            if isinstance(value, dict):
                return self._model(model, value, loc)
        return value

    def _named(self, text: str, loc: list[str | int]) -> str:
        if SHA256.fullmatch(text):
            return text
        head = DATA_URI.match(text)
        try:
            data = base64.b64decode(text[head.end() :], validate=True) if head else b""
        except binascii.Error:
            data = b""
        if not data:
            message = _("Neither the SHA-256 of an uploaded picture nor a data URI with base64.")
            raise Problem.unprocessable([Complaint(loc=loc, msg=message, type="picture")])
        digest = hashlib.sha256(data).hexdigest()
        self.files[digest] = data
        return digest
