"""Bodies of requests: JSON, or forms with files, whose fields are brought into the shape of JSON."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from dialects.http import check_text, parse_json, parse_object
from dialects.openai.errors import APIError, too_large
from jobs.images.input_files import MAX_INPUT_BYTES

FORM = "multipart/form-data"
MAX_IMAGES = 16
IMAGE_LIST = "image"
IMAGE_NAMES = {
    "image": IMAGE_LIST,
    "image[]": IMAGE_LIST,
    "images": IMAGE_LIST,
    "images[]": IMAGE_LIST,
    "mask": "mask",
}
INDEXED_IMAGE = re.compile(r"images?\[[0-9]{0,4}\]", re.ASCII)
LORA_PART = re.compile(r"loras\[([0-9]{0,4})\]\[(name|weight)\]", re.ASCII)
LITERAL_FIELDS = frozenset({"prompt", "negative_prompt", "user", "safety_identifier"})
NULLS = frozenset({"", "null"})  # of other fields of a form


@dataclass(frozen=True)
class Body:
    """Fields by name, and the files of a form by field (``image``, ``mask``).

    ``fingerprint`` is equal for repeated requests: SDKs send a form again with another boundary between its parts.
    """

    fields: dict[str, Any]
    files: dict[str, list[bytes]] = field(default_factory=dict)
    fingerprint: bytes | None = None  # None: the raw body


def read_body(request: HttpRequest) -> Body:
    """Read a JSON object or a form. Raises APIError, BadBody, or what Django raises for an unreadable body."""
    if request.content_type == FORM:
        return _read_form(request)
    if request.content_type not in ("", "application/json") and not request.content_type.endswith("+json"):
        message = _("Send application/json or multipart/form-data.")
        raise APIError(415, "invalid_request_error", message, code="unsupported_media_type")
    fields = parse_object(request.body)
    return Body({name: value for name, value in fields.items() if value is not None})


def _read_form(request: HttpRequest) -> Body:
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise too_large()
    files = _files(request)
    fields = _fields(request.POST)
    check_text(fields)
    digest = hashlib.sha256(request.get_full_path().encode())
    digest.update(json.dumps(fields, sort_keys=True).encode())
    for name in sorted(files):
        for data in files[name]:
            digest.update(b"\0" + name.encode() + hashlib.sha256(data).digest())
    return Body(fields, files, digest.digest())


def _files(request: HttpRequest) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for name in request.FILES:
        target = _image_name(name)
        if target is None:
            message = _("Unknown parameter: '%(param)s'.") % {"param": str(name)[:100]}
            raise APIError.invalid(str(name)[:100], message, "unknown_parameter")
        for file in request.FILES.getlist(name):
            if (file.size or 0) > MAX_INPUT_BYTES:
                raise too_large()
            found.setdefault(target, []).append(file.read())
    return found


def _image_name(name: str) -> str | None:
    return IMAGE_LIST if INDEXED_IMAGE.fullmatch(name) else IMAGE_NAMES.get(name)


def _fields(form: QueryDict) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    loras: dict[str, list[dict[str, str]]] = {}
    for name, values in form.lists():
        if part := LORA_PART.fullmatch(name):
            _add_lora_part(loras.setdefault(part[1], []), part[2], values)
        elif _image_name(name) == IMAGE_LIST:
            fields.setdefault(IMAGE_LIST, []).extend(value for value in values if value not in NULLS)
        elif name in LITERAL_FIELDS:
            fields[name] = values[-1]
        elif values and values[-1] not in NULLS:
            fields[name] = parse_json(values[-1]) if name == "loras" else values[-1]
    if loras:
        fields["loras"] = [lora for _index, listed in sorted(loras.items()) for lora in listed]
    if not fields.get(IMAGE_LIST, True):
        del fields[IMAGE_LIST]
    return fields


def _add_lora_part(loras: list[dict[str, str]], name: str, values: list[str]) -> None:
    for index, value in enumerate(values):
        if index >= len(loras):
            loras.append({})
        loras[index][name] = value
