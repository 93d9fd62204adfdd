"""Images inside of a request: data URIs in the image fields of the GenerationRequest."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from django.utils.translation import gettext as _
from pydantic import BaseModel

from dialects.input_images import DATA_URI, decoded
from dialects.native.errors import FieldError, Problem
from gpu_runner.protocol import GenerationRequest, InputImage
from jobs.errors import InvalidImage

from .json_body import models_in

SHA256 = re.compile(r"[0-9a-f]{64}")


class InlineImages:
    """Replaces the data URIs of a body by hashes. ``files`` has the images' content by SHA-256."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def extract(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body with hashes in place of data URIs. Raises Problem for a text that is neither."""
        return self._model(GenerationRequest, body, [])

    def _model(
        self, model: type[BaseModel], value: dict[str, Any], location: list[str | int]
    ) -> dict[str, Any]:
        fields = model.model_fields
        return {
            name: self._value(models_in(fields[name].annotation), part, [*location, name])
            if name in fields
            else part
            for name, part in value.items()
        }

    def _value(self, models: set[type[BaseModel]], value: Any, location: list[str | int]) -> Any:
        if isinstance(value, list):
            return [self._value(models, item, [*location, index]) for index, item in enumerate(value)]
        if isinstance(value, str) and InputImage in models:
            return {"sha256": self._digest(value, location)}
        for model in models - {InputImage}:
            if isinstance(value, dict):
                return self._model(model, value, location)
        return value

    def _digest(self, text: str, location: list[str | int]) -> str:
        if SHA256.fullmatch(text):
            return text
        try:
            data = decoded("", text) if DATA_URI.match(text) else b""
        except InvalidImage:
            data = b""
        if not data:
            message = _("Must be the SHA-256 of an uploaded image, or a data URI with base64.")
            raise Problem.unprocessable([FieldError(loc=location, msg=message, type="picture")])
        digest = hashlib.sha256(data).hexdigest()
        self.files[digest] = data
        return digest
