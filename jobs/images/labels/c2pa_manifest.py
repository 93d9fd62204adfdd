"""Signed C2PA manifests, where operators give a certificate and its key (the extra ``c2pa``)."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from gpu_runner.protocol import GenerationRequest
from gpu_runner.protocol.images import files as image_files

from .implicit import is_generated, source_type

GENERATOR = "Atelier"
UNSIGNED = frozenset({"webm"})  # C2PA has no place for a manifest in WebM files
# Formats of input images that can be ingredients.
INGREDIENTS = frozenset({"image/png", "image/jpeg", "image/webp", "image/avif", "image/gif"})


def is_configured() -> bool:
    return bool(settings.C2PA_CERTIFICATE and settings.C2PA_KEY)


def signed(
    data: bytes, file_format: str, request: GenerationRequest, number: str, inputs: Sequence[bytes] = ()
) -> bytes:
    """The file with a manifest, if signing is configured. No other change may follow, or the manifest is invalid.

    ``inputs``: files of the images that the request started from; ingredients of the manifest.
    """
    if not is_configured() or not is_generated(request) or file_format in UNSIGNED:
        return data
    import c2pa  # an extra, with a native library

    info = c2pa.C2paSignerInfo(
        alg=settings.C2PA_ALGORITHM.encode(),
        sign_cert=Path(settings.C2PA_CERTIFICATE).read_bytes(),
        private_key=Path(settings.C2PA_KEY).read_bytes(),
        ta_url=None,  # no time stamps: the platform connects to no host that was not asked for
    )
    result = io.BytesIO()
    manifest = _manifest(file_format, number, source_type(request))
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest) as builder:
        for content in inputs:
            kind = _mime_type(content)
            if kind not in INGREDIENTS:
                continue
            ingredient = {"title": "input image", "format": kind, "relationship": "inputTo"}
            builder.add_ingredient(json.dumps(ingredient), kind, io.BytesIO(content))
        builder.sign(signer, media_type(file_format), io.BytesIO(data), result)
    return result.getvalue()


def _manifest(file_format: str, number: str, kind: str) -> dict[str, Any]:
    actions = [{"action": "c2pa.created", "digitalSourceType": kind}]
    return {
        "claim_generator_info": [{"name": GENERATOR}],
        "format": media_type(file_format),
        "title": number,
        "assertions": [{"label": "c2pa.actions", "data": {"actions": actions}}],
    }


def media_type(file_format: str) -> str:
    """Media type for the library, which knows an animated PNG as a PNG."""
    return {"mp4": "video/mp4", "apng": "image/png"}.get(file_format, f"image/{file_format}")


def _mime_type(data: bytes) -> str:
    with image_files.opened(data, max_pixels=None) as image:
        return f"image/{str(image.format).lower()}"
