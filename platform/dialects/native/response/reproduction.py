"""A reproduction, as this API shows it."""

from __future__ import annotations

from typing import Literal

from django.urls import reverse
from pydantic import BaseModel, Field

from gpu_runner.protocol import Environment
from jobs.models import Reproduction
from jobs.reproduction import comparison
from jobs.reproduction.build import environment_of

from .schemas import JobSummary, job_summary


class ComparisonView(BaseModel):
    """How far the image is from the original. Figures are of 8-bit channels, null if the original image is not here."""

    verdict: Literal["same_file", "same_pixels", "different", "not_comparable"]
    reason: Literal["", "no_image", "no_original", "sizes"] = Field(
        description="Why there are no figures: an image was deleted or not sent, or the sizes differ."
    )
    max_difference: int | None
    mean_difference: float | None
    psnr: float | None = Field(description="In dB. Null also if there is no difference.")
    differing_share: float | None = Field(description="Of the pixels, 0 to 1.")
    picture_url: str | None = Field(description="PNG of the differences; the largest one is white.")


class ConditionView(BaseModel):
    """A version, a device or a setting that is not that of the original."""

    name: str = Field(examples=["packages.torch"])
    original: str | None
    here: str | None


class ReproductionView(BaseModel):
    """A job that draws the image of a capsule again, and the comparison with the original."""

    id: str = Field(description="Of its job.")
    url: str
    job: JobSummary
    original_job: str = Field(description="As the capsule names it; it may be one of another installation.")
    index: int = Field(description="Of the output that is compared.")
    original: Literal["stored", "sent", "absent"] = Field(
        description="Where the original image is: stored here as an output of this source, sent with the capsule, or not here."
    )
    warnings: list[str] = Field(description="Conditions known at admission to differ from the original's.")
    environment: Environment | None = Field(
        description="Of the reproduction; null until it has succeeded, or if unknown."
    )
    conditions: list[ConditionView] = Field(description="Differences from the environment in the capsule.")
    comparison: ComparisonView | None = Field(description="Null until the job has succeeded.")


def reproduction_view(reproduction: Reproduction) -> ReproductionView:
    job, image = reproduction.job, reproduction.capsule["image"]
    return ReproductionView(
        id=str(job.pk),
        url=reverse("native:reproduction", args=[job.pk]),
        job=job_summary(job),
        original_job=reproduction.capsule["job"],
        index=image["index"],
        original=_place_of_original(reproduction),
        warnings=reproduction.warnings,
        environment=environment_of(job),
        conditions=[
            ConditionView(**one.model_dump()) for one in comparison.differences_of_conditions(reproduction)
        ],
        comparison=_comparison(reproduction),
    )


def _place_of_original(reproduction: Reproduction) -> Literal["stored", "sent", "absent"]:
    if reproduction.original_id is not None:
        return "stored"
    return "sent" if reproduction.original_sent else "absent"


def _comparison(reproduction: Reproduction) -> ComparisonView | None:
    found = comparison.comparison_of(reproduction)
    if found is None:
        return None
    url = reverse("native:difference", args=[reproduction.pk]) if found.has_picture else None
    return ComparisonView(**found.model_dump(), picture_url=url)
