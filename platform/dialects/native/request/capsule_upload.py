"""Request to reproduce an output: a capsule as JSON, or a form with the capsule and image files."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from pydantic import ValidationError
from rest_framework.request import Request

from access.models import AccessKey
from dialects.http import InvalidJSON, NotAnObject, UnstorableText, parse_object
from dialects.native.authentication import DIALECT
from dialects.native.errors import FieldError, Problem, too_large
from dialects.native.models import UploadedImage
from jobs.admission.reproduce import MissingParts, ReproduceRequest
from jobs.images.input_files import MAX_INPUT_BYTES
from jobs.reproduction.capsule import MAX_CAPSULE_BYTES, Capsule

CAPSULE, INPUTS, ORIGINAL = "capsule", "inputs", "original"


class CapsuleUpload:
    """The parts of a request. ``fingerprint`` is the same for two requests with the same parts."""

    def __init__(self, capsule: bytes, images: list[bytes], original: bytes | None) -> None:
        if len(capsule) > MAX_CAPSULE_BYTES:
            raise too_large()
        self._capsule = capsule
        self.images = {hashlib.sha256(data).hexdigest(): data for data in images}
        self.original = original

    @property
    def fingerprint(self) -> bytes:
        original = hashlib.sha256(self.original).hexdigest() if self.original is not None else ""
        return b"\0".join(
            [b"reproduce", self._capsule, *map(str.encode, sorted(self.images)), original.encode()]
        )

    def reproduce_request(self, key: AccessKey, **more: Any) -> ReproduceRequest:
        """Parse and validate the capsule. Raises Problem."""
        capsule = _capsule(self._capsule)
        wanted = [part.sha256 for part in capsule.inputs]
        uploads = UploadedImage.objects.filter(source=key.source, image__in=wanted)
        return ReproduceRequest(
            source=key.source,
            key=key,
            dialect=DIALECT,
            capsule=capsule,
            images=self.images,
            original=self.original,
            uploaded=frozenset(uploads.values_list("image_id", flat=True)),
            **more,
        )


def read_upload(request: Request) -> CapsuleUpload:
    """Read the body. Raises Problem for another media type, a missing capsule, and for unknown or too large parts."""
    content_type = request._request.content_type or ""
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise too_large()
    if content_type == "application/json":
        return CapsuleUpload(request._request.body, [], None)
    if content_type != "multipart/form-data":
        detail = _("Send the capsule as application/json, or as multipart/form-data with the field capsule.")
        raise Problem(415, "unsupported_media_type", detail)
    known = {CAPSULE, INPUTS, ORIGINAL}
    for name in [*request.FILES, *request.POST]:
        if name not in known or (name in request.POST and name != CAPSULE):
            message = _(
                "Unknown field: a form has the text or file capsule, files inputs, and a file original."
            )
            raise Problem.unprocessable([FieldError(loc=[name[:100]], msg=message, type="extra_forbidden")])
    capsules = [*map(_content, request.FILES.getlist(CAPSULE))]
    capsules += [text.encode(errors="surrogatepass") for text in request.POST.getlist(CAPSULE)]
    originals = [_content(file) for file in request.FILES.getlist(ORIGINAL)]
    for name, parts, least in ((CAPSULE, capsules, 1), (ORIGINAL, originals, 0)):
        if not least <= len(parts) <= 1:
            message = _("The form must have this field once.")
            raise Problem.unprocessable([FieldError(loc=[name], msg=message, type="missing")])
    inputs = [_content(file) for file in request.FILES.getlist(INPUTS)]
    return CapsuleUpload(capsules[0], inputs, originals[0] if originals else None)


def missing_problem(missing: MissingParts) -> Problem:
    """The response that names each missing part with its place in the capsule."""
    errors = [
        FieldError(
            loc=[int(part) if part.isdigit() else part for part in one.field.split(".")],
            msg=one.message,
            type="missing",
        )
        for one in missing.parts
    ]
    return Problem(422, missing.code, missing.message, errors=errors, field=missing.field)


def _content(file: UploadedFile[Any]) -> bytes:
    if (file.size or 0) > MAX_INPUT_BYTES:
        raise too_large()
    return file.read()


def _capsule(data: bytes) -> Capsule:
    try:
        return Capsule.model_validate(parse_object(data))
    except ValidationError as error:
        raise Problem.invalid(error) from None
    except InvalidJSON as error:
        raise Problem(400, "malformed_json", error.message) from None
    except NotAnObject as error:
        raise Problem.unprocessable([FieldError(loc=[], msg=error.message, type="dict_type")]) from None
    except UnstorableText as error:
        raise Problem.unprocessable(
            [FieldError(loc=list(error.location), msg=error.message, type="nul")]
        ) from None
