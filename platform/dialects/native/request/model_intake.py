"""Request to load a model file from a URL."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from access.models import AccessKey
from dialects.native.authentication import DIALECT
from jobs.model_intake.submission import MAX_NAME, IntakeRequest
from jobs.outbound.callbacks.outbox import CallbackRequest
from jobs.outbound.policy import MAX_URL

from .json_body import PlainText

KindName = Literal["checkpoint", "lora", "vae", "controlnet", "embedding", "upscaler"]
FamilyName = Literal["sd15", "sd2", "sdxl"]
FormatName = Literal["safetensors", "pickle"]


class ModelIntakeBody(BaseModel):
    """A model file to load."""

    model_config = ConfigDict(extra="forbid")

    url: PlainText = Field(
        max_length=MAX_URL, description="Of the file itself: .safetensors, or a file that torch wrote."
    )
    name: PlainText = Field(
        min_length=1,
        max_length=MAX_NAME,
        description="Name in requests: letters, digits, dots, dashes, plus signs and underscores.",
    )
    kind: KindName | None = Field(
        default=None, description="What the file has to be. It is detected if left out."
    )
    family: FamilyName | None = Field(
        default=None, description="What the file has to be of. It is detected if left out."
    )
    format: FormatName | None = Field(default=None, description="What the file has to be.")
    callback_url: PlainText | None = Field(
        default=None, max_length=MAX_URL, description="Receives the intake when it has ended."
    )

    def intake(self, key: AccessKey, base_url: str) -> IntakeRequest:
        callback = CallbackRequest(self.callback_url, base_url=base_url) if self.callback_url else None
        return IntakeRequest(
            source=key.source,
            key=key,
            requested_by=key.key_id,
            dialect=DIALECT,
            url=self.url,
            name=self.name,
            kind=self.kind or "",
            families=(self.family,) if self.family else (),
            file_format=self.format or "",
            callback=callback,
        )
