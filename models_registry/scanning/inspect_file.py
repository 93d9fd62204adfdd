"""Inspects one model file: kind and family from its tensors, hashes from its bytes.

Code in a file is never executed, and torch is not needed.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from gpu_runner.protocol.model_detection.fitting import architecture_of
from gpu_runner.protocol.model_detection.onnx_models import identify_onnx_file
from gpu_runner.protocol.model_detection.safetensors_header import read_header
from gpu_runner.protocol.model_detection.safetensors_models import UNKNOWN, Identified
from gpu_runner.protocol.model_detection.storage.gguf_header import GGUF_SUFFIX, read_gguf_header
from gpu_runner.protocol.model_detection.tag_table import table_for
from gpu_runner.protocol.model_detection.usability import inspect
from models_registry.models import (
    CONTEXT_WIDTH,
    CONTROL_MASK,
    CONTROL_MODES,
    ENCODER,
    ENCODERS,
    FAMILIES,
    FOLDERS,
    INPAINTING,
    RESIDUALS,
    VARIANT,
    WIDTH,
    WITHOUT_TEXT,
    Family,
    Kind,
)

from .broken_content import first_not_finite, other_content
from .file_discovery import UNREADABLE_SUFFIXES
from .pickle_safety import check_pickle
from .pickled_shapes import pickled_shapes
from .problem_texts import TEXTS

logger = logging.getLogger(__name__)

CHUNK_BYTES = 4 * 1024 * 1024
MAX_METADATA_BYTES = 256 * 1024
LEGACY_BEGIN, LEGACY_LENGTH, LEGACY_DIGITS = 2**20, 2**16, 8
# Findings that are kept in the metadata, by kind: key -> name in the detail. Empty ones are left out.
KEPT: dict[str, dict[str, str]] = {
    Kind.CHECKPOINT: {
        INPAINTING: "inpainting",
        ENCODERS: "text_encoders",
        CONTEXT_WIDTH: "context_width",
        VARIANT: "variant",
        WITHOUT_TEXT: "without_text",
    },
    Kind.CONTROLNET: {RESIDUALS: "residuals", CONTROL_MODES: "modes", CONTROL_MASK: "mask"},
    Kind.EMBEDDING: {"atelier.vectors": "vectors", WIDTH: "width"},
    Kind.TEXT_ENCODER: {ENCODER: "encoder", WIDTH: "width"},
    Kind.VAE: {FAMILIES: "families"},
}
FINDINGS = {key for kept in KEPT.values() for key in kept}
# ComfyUI uses more layouts of these than the engine: the folder decides the kind of those that the engine cannot use.
KINDS_BY_FOLDER = frozenset({Kind.DIFFUSION_MODEL, Kind.TEXT_ENCODER})
SMALL_KINDS = frozenset({Kind.LORA, Kind.EMBEDDING})  # all numbers of these are looked at
KIND_BY_FOLDER = {folder: kind for kind, folder in FOLDERS.items()}


@dataclass(frozen=True)
class FileInfo:
    """Result of an inspection. ``problem``: why the file cannot be used; empty if it can."""

    kind: str = Kind.UNKNOWN
    family: str = Family.UNKNOWN
    sha256: str = ""
    tensors_sha256: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    legacy_hash: str = ""
    without_vae: bool = False
    instruct: bool = False
    left_out: str = ""
    bundled_embeddings: tuple[str, ...] = ()
    architecture: dict[str, Any] = field(default_factory=dict)


def inspect_file(root: Path, path: str, final_path: str = "") -> FileInfo:
    """Inspect ``root / path``. A malformed, unsafe or unsupported file gives a result with a problem.

    ``final_path``: where the file will be, if it is elsewhere until it has passed; a tag table is looked for there.
    Raises FileNotFoundError if the file does not exist.
    """
    suffix = Path(path).suffix.lower()
    if suffix in UNREADABLE_SUFFIXES:
        return FileInfo(problem=str(TEXTS["format"]) % {"suffix": suffix})
    try:
        inspector = INSPECTORS.get(suffix, _inspect_pickle)
        info = inspector(root / path, KIND_BY_FOLDER.get(path.partition("/")[0], Kind.UNKNOWN))
        if info.kind == Kind.TAGGER:
            info = replace(info, problem=tag_table_problem(root / path, root / (final_path or path)))
        return replace(info, legacy_hash=legacy_hash(root / path))
    except FileNotFoundError:
        raise
    except PermissionError:
        return FileInfo(problem=str(TEXTS["denied"]))
    except (ValueError, OSError) as error:
        return FileInfo(problem=_not_usable(str(error)))
    except Exception:
        # One malformed file, possibly malicious, must not stop the scan of the others.
        logger.exception("inspection of %s failed", ascii(path))
        return FileInfo(problem=str(TEXTS["failed"]))


def _not_usable(reason: str) -> str:
    return _("Not usable: %(reason)s") % {"reason": _storable_text(reason)[:200]}


def _inspect_safetensors(file: Path, folder_kind: str) -> FileInfo:
    try:
        header = read_header(file)
    except ValueError as error:
        raise ValueError(other_content(file) or str(error)) from error
    identified = inspect(header.shapes, header.metadata, header.problem)
    sha256, tensors_sha256 = _hashes(file, tensors=identified.kind == Kind.LORA)
    if identified.kind in SMALL_KINDS and not identified.problem and (name := first_not_finite(file)):
        identified = replace(identified, problem=f"values that are not numbers in {name}")
    if folder_kind in KINDS_BY_FOLDER and _is_for_comfyui_only(identified):
        return _of_comfyui(identified, folder_kind, sha256)
    architecture = architecture_of(identified, header.shapes, header.metadata)
    return _info(identified, sha256, tensors_sha256, header.metadata, architecture)


def _inspect_gguf(file: Path, folder_kind: str) -> FileInfo:
    header = read_gguf_header(file).header
    identified = inspect(header.shapes, header.metadata, header.problem)
    sha256 = _hashes(file, tensors=False)[0]
    if folder_kind in KINDS_BY_FOLDER and _is_for_comfyui_only(identified):
        return _of_comfyui(identified, folder_kind, sha256)
    architecture = architecture_of(identified, header.shapes, header.metadata)
    return _info(identified, sha256, "", header.metadata, architecture)


def _is_for_comfyui_only(identified: Identified) -> bool:
    return bool(identified.problem) or identified.kind == UNKNOWN


def _of_comfyui(identified: Identified, folder_kind: str, sha256: str) -> FileInfo:
    """A file in one of ComfyUI's folders that the engine cannot use. It has no problem, because ComfyUI may use it."""
    return FileInfo(folder_kind, identified.family, sha256)


def _info(
    identified: Identified,
    sha256: str,
    tensors_sha256: str,
    metadata: Mapping[str, str],
    architecture: dict[str, Any],
) -> FileInfo:
    own = {name: value for name, value in metadata.items() if name not in FINDINGS}
    detail = identified.detail
    return FileInfo(
        identified.kind,
        identified.family,
        sha256,
        tensors_sha256,
        storable(own) | _extra_metadata(identified),
        _not_usable(identified.problem) if identified.problem else "",
        without_vae=identified.kind == Kind.CHECKPOINT and not detail["has_vae"],
        instruct=identified.kind == Kind.CHECKPOINT and detail["instruct"],
        left_out=_left_out(detail.get("left_out", ())),
        bundled_embeddings=tuple(map(_storable_text, detail.get("bundled", ()))),
        architecture=architecture,
    )


def _extra_metadata(identified: Identified) -> dict[str, str]:
    """Properties that admission needs or an API lists."""
    kept = KEPT.get(identified.kind, {})
    found = {key: identified.detail.get(name) for key, name in kept.items()}
    return {key: _as_text(value) for key, value in found.items() if value}


def _as_text(value: Any) -> str:
    if value is True:
        return "yes"
    return " ".join(value) if isinstance(value, tuple) else str(value)


def _left_out(names: Sequence[str]) -> str:
    """Modules and tensors of a LoRA that have no effect, for operators and clients."""
    examples = ", ".join(_storable_text(name)[:80] for name in names[:3])
    return f"{len(names)}: {examples}" + (", ..." if len(names) > 3 else "") if names else ""


def _inspect_pickle(file: Path, folder_kind: str) -> FileInfo:
    """The kind is detected from the tensors, not from the folder."""
    check_pickle(file)
    sha256 = _hashes(file, tensors=False)[0]
    if folder_kind in KINDS_BY_FOLDER:
        return FileInfo(folder_kind, sha256=sha256)
    found = pickled_shapes(file)
    if found is None:
        raise ValueError("it is not a dictionary of tensors")
    shapes, metadata = found
    identified = inspect(shapes, metadata)
    if identified.kind == UNKNOWN and folder_kind in UNKNOWN_ARCHITECTURES:
        return FileInfo(sha256=sha256, problem=str(UNKNOWN_ARCHITECTURES[folder_kind]))
    return _info(identified, sha256, "", {}, architecture_of(identified, shapes, metadata))


UNKNOWN_ARCHITECTURES: dict[str, Any] = {
    Kind.FACE_RESTORER: gettext_lazy("Not a supported face restorer: only GFPGAN is supported."),
    Kind.UPSCALER: gettext_lazy("Not an upscaler of a supported architecture."),
}


def _inspect_onnx(file: Path, folder_kind: str) -> FileInfo:
    identified = identify_onnx_file(file)
    problem = (
        "" if identified.kind != UNKNOWN else _not_usable("its graph matches no supported kind of model")
    )
    return FileInfo(identified.kind, identified.family, _hashes(file, tensors=False)[0], problem=problem)


def tag_table_problem(tagger: Path, final: Path) -> str:
    """Why the tag table beside a tagger cannot be used; empty if it can. Raises ValueError if the file is no tagger."""
    detail = identify_onnx_file(tagger).detail
    if "tags" not in detail:
        raise ValueError("its graph matches no supported kind of model")
    try:
        table_for(final, detail["tags"])
    except (OSError, ValueError) as error:
        return _not_usable(str(error))
    return ""


INSPECTORS = {".safetensors": _inspect_safetensors, GGUF_SUFFIX: _inspect_gguf, ".onnx": _inspect_onnx}


def _hashes(path: Path, *, tensors: bool) -> tuple[str, str]:
    """SHA-256 of the file, and with ``tensors`` that of the data after the safetensors header (kohya's LoRA hash)."""
    whole, data = hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as file:
        if tensors:
            length = file.read(8)
            header = file.read(int.from_bytes(length, "little"))
            whole.update(length + header)
        while chunk := file.read(CHUNK_BYTES):
            whole.update(chunk)
            if tensors:
                data.update(chunk)
    return whole.hexdigest(), data.hexdigest() if tensors else ""


def legacy_hash(path: Path) -> str:
    """A1111's old model hash: SHA-256 over 64 KiB at offset 1 MiB, eight digits; empty for shorter files."""
    with path.open("rb") as file:
        file.seek(LEGACY_BEGIN)
        part = file.read(LEGACY_LENGTH)
    return hashlib.sha256(part).hexdigest()[:LEGACY_DIGITS] if part else ""


def storable(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata that every supported database can store; the longest values are dropped above MAX_METADATA_BYTES."""
    clean = {_storable_text(name)[:200]: _storable_text(value) for name, value in metadata.items()}
    for name in sorted(clean, key=lambda name: len(clean[name]), reverse=True):
        if len(json.dumps(clean)) <= MAX_METADATA_BYTES:
            break
        del clean[name]
    return clean


def _storable_text(value: str) -> str:
    # PostgreSQL's JSON cannot store NUL, and no database can store unpaired surrogates.
    return str(value).replace("\0", "").encode(errors="replace").decode()
