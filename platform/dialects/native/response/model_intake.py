"""An intake of a model file, as this API shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, cast

from django.urls import reverse
from pydantic import BaseModel, Field

from jobs.images.signed_urls import public_path
from jobs.models import IntakeState, ModelIntake

StateName = Literal["queued", "running", "ready", "failed"]


class ModelIntakeView(BaseModel):
    """A model file that is loaded from a URL."""

    id: str
    url: str = Field(description="Of this intake.")
    state: StateName
    address: str = Field(description="From where the file is loaded, without its query.")
    name: str
    kind: str | None = Field(description="As requested; when the intake is ready, as detected.")
    model: str | None = Field(
        description="Name of the registered file. It differs from the requested one if a file of another source has that."
    )
    sha256: str | None
    received_bytes: int
    total_bytes: int | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class ModelIntakeList(BaseModel):
    """The newest intakes of the source."""

    items: list[ModelIntakeView]


def intake_view(intake: ModelIntake, base_url: str = "") -> ModelIntakeView:
    file = intake.file if intake.state == IntakeState.READY else None
    return ModelIntakeView(
        id=str(intake.pk),
        url=base_url + public_path(reverse("native:model-intake", args=[intake.pk])),
        state=cast(StateName, intake.state),
        address=intake.address,
        name=intake.name,
        kind=file.kind if file else intake.kind or None,
        model=file.name if file else None,
        sha256=file.sha256 if file else None,
        received_bytes=intake.received_bytes,
        total_bytes=intake.total_bytes,
        error=intake.error or None,
        created_at=intake.created_at,
        finished_at=intake.finished_at,
    )
