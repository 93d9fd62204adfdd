"""Compares the image of a finished reproduction with the original one."""

from __future__ import annotations

from typing import Literal

from django.utils.translation import gettext_lazy as _
from pydantic import BaseModel

from jobs.images.storage import read_input, read_output
from jobs.models import InputPicture, Job, Output, Reproduction, State

from .build import environment_of
from .capsule import Capsule
from .pixels import difference, difference_picture, pixels_sha256

Verdict = Literal["same_file", "same_pixels", "different", "not_comparable"]
Reason = Literal["", "no_image", "no_original", "sizes"]

REASONS = {
    "no_image": _("The job has no such image, or it was deleted."),
    "no_original": _("The original image is not here; the hashes of the pixels differ."),
    "sizes": _("The images have different sizes."),
}


class Comparison(BaseModel):
    """How far the image is from the original. Figures are of 8-bit channels; None: unknown."""

    verdict: Verdict
    reason: Reason = ""
    max_difference: int | None = None
    mean_difference: float | None = None
    psnr: float | None = None  # in dB; None without a difference, too
    differing_share: float | None = None  # of the pixels

    @property
    def has_picture(self) -> bool:
        return self.verdict == "different" and self.max_difference is not None


class ConditionDifference(BaseModel):
    """A version, a device or a setting that is not that of the original."""

    name: str
    original: str | None
    here: str | None


def capsule_in(reproduction: Reproduction) -> Capsule:
    return Capsule.model_validate(reproduction.capsule)


def comparison_of(reproduction: Reproduction) -> Comparison | None:
    """The comparison, made when it is first asked for and then kept. None until the job has succeeded."""
    if reproduction.job.state != State.SUCCEEDED:
        return None
    if reproduction.comparison is None:
        made = _compared(reproduction)
        if made.reason == "no_image":  # not kept: the reason may be a storage that is not mounted
            return made
        reproduction.comparison = made.model_dump(mode="json")
        Reproduction.objects.filter(pk=reproduction.pk, comparison__isnull=True).update(
            comparison=reproduction.comparison
        )
    return Comparison.model_validate(reproduction.comparison)


def differences_of_conditions(reproduction: Reproduction) -> list[ConditionDifference]:
    """Differences of the environments, once the runner has told its own; empty if one of them is unknown."""
    original, here = capsule_in(reproduction).environment, environment_of(reproduction.job)
    if original is None or here is None:
        return []
    facts, others = original.facts(), here.facts()
    return [
        ConditionDifference(name=name, original=facts.get(name), here=others.get(name))
        for name in sorted({*facts, *others})
        if facts.get(name) != others.get(name)
    ]


def picture_of(reproduction: Reproduction) -> bytes | None:
    """PNG of the differences; None if the images cannot be compared or one of them was deleted."""
    made, original = image_data(reproduced_output(reproduction)), original_data(reproduction)
    return difference_picture(original, made) if made and original else None


def reproduced_output(reproduction: Reproduction) -> Output | None:
    """The output to compare."""
    job: Job = reproduction.job
    return job.image_outputs.filter(index=reproduction.capsule["image"]["index"]).first()


def original_data(reproduction: Reproduction) -> bytes | None:
    """The file of the original image, if it is here."""
    if reproduction.original_sent:
        try:
            return read_input(reproduction.original_sent)
        except (InputPicture.DoesNotExist, FileNotFoundError):
            return None
    return image_data(reproduction.original)


def image_data(output: Output | None) -> bytes | None:
    """The file of an output; None if there is none, or it was deleted."""
    try:
        return read_output(output) if output else None
    except FileNotFoundError:
        return None


def _compared(reproduction: Reproduction) -> Comparison:
    output, image = reproduced_output(reproduction), capsule_in(reproduction).image
    made = image_data(output)
    if output is None or made is None:
        return Comparison(verdict="not_comparable", reason="no_image")
    if output.sha256 == image.sha256:
        return _same("same_file")
    if pixels_sha256(made) == image.pixels_sha256:
        return _same("same_pixels")
    if (output.width, output.height) != (image.width, image.height):
        return Comparison(verdict="different", reason="sizes")
    original = original_data(reproduction)
    if original is None:
        verdict: Verdict = "different" if image.pixels_sha256 else "not_comparable"
        return Comparison(verdict=verdict, reason="no_original")
    found = difference(original, made)
    if found is None:
        return Comparison(verdict="different", reason="sizes")
    return Comparison(
        verdict="same_pixels" if found.is_none else "different",
        max_difference=found.largest,
        mean_difference=found.mean,
        psnr=found.psnr,
        differing_share=found.share,
    )


def _same(verdict: Verdict) -> Comparison:
    return Comparison(verdict=verdict, max_difference=0, mean_difference=0, differing_share=0)
