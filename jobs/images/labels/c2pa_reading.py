"""C2PA manifests of any image or MP4 file, read and verified by the library of the extra ``c2pa``."""

from __future__ import annotations

import importlib.util
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from .c2pa_manifest import INGREDIENTS

MAX_PROBLEMS = 20
MAX_TEXT = 300
READABLE = INGREDIENTS | {"video/mp4"}
VALID, TRUSTED = "Valid", "Trusted"  # the library's states; the other one is Invalid


@dataclass(frozen=True)
class Manifest:
    """The active manifest of a file.

    ``valid``: the signature fits, and the file was not changed after it. ``trusted``: its certificate is, or was issued
    by, one of C2PA_CERTIFICATE. A certificate may contain any name: only ``trusted`` proves the signer.
    """

    title: str
    generator: str
    signer: str
    issuer: str
    valid: bool
    trusted: bool
    problems: list[str] = field(default_factory=list)


def is_installed() -> bool:
    return importlib.util.find_spec("c2pa") is not None


def read(data: bytes, content_type: str) -> Manifest | None:
    """The manifest in a file; None if there is none, or the format cannot have one.

    Manifests and certificates that the file refers to by URL are not fetched.
    """
    if not is_installed() or content_type not in READABLE:
        return None
    import c2pa  # an extra, with a native library

    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict(_rules())) as context,
            c2pa.Reader(content_type, io.BytesIO(data), context=context) as reader,
        ):
            return _manifest(json.loads(reader.json()))
    except c2pa.C2paError as error:
        if isinstance(error, c2pa.C2paError.ManifestNotFound):
            return None
        return Manifest("", "", "", "", valid=False, trusted=False, problems=[str(error)[:MAX_TEXT]])


def _rules() -> dict[str, Any]:
    verify = {
        "remote_manifest_fetch": False,
        "ocsp_fetch": False,
        "verify_trust": bool(settings.C2PA_CERTIFICATE),
    }
    if not settings.C2PA_CERTIFICATE:
        return {"verify": verify}
    return {"verify": verify, "trust": {"trust_anchors": Path(settings.C2PA_CERTIFICATE).read_text()}}


def _manifest(store: dict[str, Any]) -> Manifest:
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = active.get("signature_info") or {}
    generators = active.get("claim_generator_info") or [{}]
    state = store.get("validation_state")
    found = [_text(problem.get("code")) for problem in store.get("validation_status") or []]
    return Manifest(
        title=_text(active.get("title")),
        generator=_text(generators[0].get("name") or active.get("claim_generator")),
        signer=_text(signature.get("common_name")),
        issuer=_text(signature.get("issuer")),
        valid=state in (VALID, TRUSTED),
        trusted=state == TRUSTED,
        problems=list(dict.fromkeys(found))[:MAX_PROBLEMS],
    )


def _text(value: object) -> str:
    return value[:MAX_TEXT] if isinstance(value, str) else ""
