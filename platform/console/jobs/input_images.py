"""Input images, masks and control maps on a job's page, and what they are compared with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from gpu_runner.protocol import GenerationRequest
from jobs.models import Job

# CSS object-fit that shows an input as the runner fitted it to the output's size.
FITS = {"stretch": "fill", "crop": "cover", "fill": "contain", "latent": "fill"}
PLACE = re.compile(r"(controls)\.(\d+)\.(image|mask|region)|(init_images|images)\.(\d+)")


@dataclass(frozen=True)
class Shown:
    """An image beside the results."""

    label: str
    url: str
    fit: str = "fill"


def beside_results(job: Job) -> list[Shown]:
    """The job's stored inputs in the order of the request, then its control maps and extra images. Inputs that were deleted are left out."""
    request = job.generation_request
    stored = set(job.inputs.values_list("sha256", flat=True))
    inputs = [
        Shown(_label(path), reverse("admin:jobs_job_input", args=[job.pk, sha256]), _fit(request, path))
        for sha256, path in request.picture_paths().items()
        if sha256 in stored
    ]
    maps = [
        Shown(
            _("control map %(n)d") % {"n": index}, reverse("admin:jobs_job_control_map", args=[job.pk, index])
        )
        for index in job.control_maps.order_by("index").values_list("index", flat=True)
    ]
    extras = [
        Shown(_("extra image %(n)d") % {"n": index}, reverse("admin:jobs_job_extra", args=[job.pk, index]))
        for index in job.extra_outputs.order_by("index").values_list("index", flat=True)
    ]
    return [*inputs, *maps, *extras]


def _label(path: str) -> str:
    """Name of the place of an image in the request; other places have their path."""
    if path == "inpaint.mask":
        return _("mask")
    found = PLACE.fullmatch(path)
    if found is None:
        return path
    if found[4]:
        return _("input image %(n)s") % {"n": found[5]}
    part = {"image": _("image"), "mask": _("mask"), "region": _("region")}[found[3]]
    return _("ControlNet unit %(n)s: %(part)s") % {"n": found[2], "part": part}


def _fit(request: GenerationRequest, path: str) -> str:
    found = PLACE.fullmatch(path)
    mode = request.controls[int(found[2])].resize_mode if found and found[1] else request.resize_mode
    return FITS[mode]
