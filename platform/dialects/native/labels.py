"""The route that reads the labels of an image or video."""

from __future__ import annotations

from dataclasses import asdict

from django.utils.translation import gettext as _
from pydantic import BaseModel, Field
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import BusinessSource
from jobs.errors import InvalidImage
from jobs.images.input_files import MAX_INPUT_BYTES
from jobs.images.label_report import report
from jobs.images.labels.c2pa_reading import Manifest
from jobs.images.labels.origin import Origin

from .base import NativeView, json_response
from .errors import Problem, too_large
from .openapi import operation
from .request.uploads import uploaded_bytes

BINARY = {"type": "string", "format": "binary"}


class OriginView(BaseModel):
    """An output of this source that the image is, or looks like."""

    job_id: str
    index: int
    found_by: str = Field(
        description="number: by the labels. perceptual_hash: the image looks like the output."
    )
    distance: int = Field(description="Bits of 64 in which the perceptual hashes differ.")
    same_file: bool = Field(description="The file is the stored one, or a labeled copy of it, byte by byte.")
    visible_texts: list[str] | None = Field(
        description="Texts that were drawn on the image when it was stored, by the job's record; null if none was kept. "
        "They are on the file that was sent if same_file is true; otherwise it may have been changed."
    )


class ManifestView(BaseModel):
    """The C2PA manifest of the file."""

    title: str
    generator: str
    signer: str = Field(description="Name in the certificate; proven only if trusted is true.")
    issuer: str
    valid: bool = Field(description="The signature fits, and the file was not changed after it.")
    trusted: bool = Field(description="Signed with this platform's certificate, or by its authority.")
    problems: list[str] = Field(description="Codes of the C2PA specification.")


class LabelsView(BaseModel):
    """Labels in the file, and the jobs of this source that may have drawn it."""

    aigc: dict[str, str] = Field(description="AIGC object of GB 45438; empty if there is none.")
    places: list[str] = Field(
        description="Where it stands: xmp, png_chunk, exif_user_comment, mp4_metadata, webm_tag."
    )
    digital_source_type: str = Field(description="IPTC digital source type; empty if there is none.")
    c2pa: ManifestView | None = Field(
        description="The C2PA manifest; null if there is none, or c2pa_read is false."
    )
    c2pa_read: bool = Field(description="Whether this installation can read C2PA manifests.")
    origins: list[OriginView]


class ReadLabels(NativeView):
    http_method_names = ["post"]
    parser_classes = [MultiPartParser]

    @operation(
        "readLabels",
        {200: LabelsView},
        problems=(400, 413, 415, 422),
        request={
            "image/*": BINARY,
            "video/*": BINARY,
            "multipart/form-data": {"type": "object", "properties": {"file": BINARY}, "required": ["file"]},
        },
        tags=["labels"],
    )
    def post(self, request: Request) -> Response:
        """Read the labels of an image or video, ours or not, and find the job of this source that drew it."""
        data = uploaded_bytes(request, videos=True)
        if not data:
            raise Problem(422, "invalid", _("The file is empty."))
        if len(data) > MAX_INPUT_BYTES:
            raise too_large()
        try:
            found = report(data, BusinessSource.objects.filter(pk=self.key.source_id))
        except InvalidImage as refused:
            raise Problem(422, refused.code, refused.message) from None
        labels = found.labels
        return json_response(
            LabelsView(
                aigc=labels.aigc,
                places=labels.places,
                digital_source_type=labels.digital_source_type,
                c2pa=_manifest(found.manifest),
                c2pa_read=found.reads_manifests,
                origins=[_origin(origin) for origin in found.origins],
            )
        )


def _origin(origin: Origin) -> OriginView:
    output = origin.output
    return OriginView(
        job_id=str(output.job_id),
        index=output.index,
        found_by=origin.found_by,
        distance=origin.distance,
        same_file=origin.same_file,
        visible_texts=origin.visible_texts,
    )


def _manifest(manifest: Manifest | None) -> ManifestView | None:
    return ManifestView(**asdict(manifest)) if manifest else None
