"""What one file is: kind and family from its tensors, hashes from its bytes. Nothing in it is run, torch is not needed."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from gpu_runner.protocol.model_detection.onnx_models import identify_onnx_file
from gpu_runner.protocol.model_detection.safetensors_models import (
    UNKNOWN,
    Identified,
    identify,
    read_safetensors_header,
)
from models_registry.models import FOLDERS, Family, Kind

from .pickle_safety import check_pickle
from .pickled_shapes import pickled_shapes

logger = logging.getLogger(__name__)

CHUNK = 4 * 1024 * 1024
LARGEST_METADATA = 256 * 1024
LEGACY_BEGIN, LEGACY_LENGTH, LEGACY_DIGITS = 2**20, 2**16, 8
EMBEDDING_SIZES = {"atelier.vectors": "vectors", "atelier.width": "width"}
KINDS_OF_FOLDERS = {folder: kind for kind, folder in FOLDERS.items()}


@dataclass(frozen=True)
class Findings:
    kind: str = Kind.UNKNOWN
    family: str = Family.UNKNOWN
    sha256: str = ""
    tensors_sha256: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    legacy_hash: str = ""


def examine(root: Path, path: str) -> Findings:
    """A broken or suspect file gives findings with a problem; only its vanishing is an error."""
    try:
        look = LOOKS.get(Path(path).suffix.lower(), _pickle)
        found = look(root / path, KINDS_OF_FOLDERS.get(path.partition("/")[0], Kind.UNKNOWN))
        return replace(found, legacy_hash=legacy_hash(root / path))
    except FileNotFoundError:
        raise
    except PermissionError:
        return Findings(problem=_("The scan may not read it."))
    except (ValueError, OSError) as error:
        return Findings(problem=_("Not usable: %(why)s") % {"why": _text(str(error))[:200]})
    except Exception:
        # One file, perhaps made to do just this, must not keep the scan from the others.
        logger.exception("The scan failed on %s.", ascii(path))
        return Findings(problem=_("The scan failed on it; the log tells why."))


def _safetensors(file: Path, folder_kind: str) -> Findings:
    shapes, metadata = read_safetensors_header(file)
    identified = identify(shapes, metadata)
    sha256, tensors_sha256 = _hashes(file, tensors=identified.kind == Kind.LORA)
    kept = storable(metadata) | _what_lists_tell(identified)
    return Findings(identified.kind, identified.family, sha256, tensors_sha256, kept)


def _what_lists_tell(identified: Identified) -> dict[str, str]:
    """A1111's clients are told how long embeddings are, and whether a checkpoint was made for inpainting."""
    if identified.kind == Kind.CHECKPOINT and identified.detail["inpainting"]:
        return {"atelier.inpainting": "yes"}
    if identified.kind != Kind.EMBEDDING:
        return {}
    return {key: str(identified.detail[name]) for key, name in EMBEDDING_SIZES.items()}


def _pickle(file: Path, folder_kind: str) -> Findings:
    """The tensors tell, as in any file; where they do not, as of many kinds of upscalers, the folder does."""
    check_pickle(file)
    sha256 = _hashes(file, tensors=False)[0]
    read = pickled_shapes(file)
    identified = identify(*read) if read else Identified()
    if identified.kind == UNKNOWN:
        problem = str(NO_FACE_RESTORER) if read and folder_kind == Kind.FACE_RESTORER else ""
        return Findings(Kind.UNKNOWN if problem else folder_kind, sha256=sha256, problem=problem)
    told = _what_lists_tell(identified)
    return Findings(identified.kind, identified.family, sha256, metadata=told)


NO_FACE_RESTORER = gettext_lazy("It is no face restorer that is known here: only GFPGAN's files are.")


def _onnx(file: Path, folder_kind: str) -> Findings:
    identified = identify_onnx_file(file)
    return Findings(identified.kind, identified.family, _hashes(file, tensors=False)[0])


LOOKS = {".safetensors": _safetensors, ".onnx": _onnx}


def _hashes(path: Path, *, tensors: bool) -> tuple[str, str]:
    """SHA-256 of the file and, on demand, of what follows its safetensors header: kohya's rule for LoRAs."""
    whole, data = hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as file:
        if tensors:
            length = file.read(8)
            header = file.read(int.from_bytes(length, "little"))
            whole.update(length + header)
        while chunk := file.read(CHUNK):
            whole.update(chunk)
            if tensors:
                data.update(chunk)
    return whole.hexdigest(), data.hexdigest() if tensors else ""


def legacy_hash(path: Path) -> str:
    """A1111's first one, over 64 KiB that begin at 1 MiB; empty for files that end before."""
    with path.open("rb") as file:
        file.seek(LEGACY_BEGIN)
        part = file.read(LEGACY_LENGTH)
    return hashlib.sha256(part).hexdigest()[:LEGACY_DIGITS] if part else ""


def storable(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata as every database takes it, without the largest values where they are too much to keep."""
    clean = {_text(name)[:200]: _text(value) for name, value in metadata.items()}
    for name in sorted(clean, key=lambda name: len(clean[name]), reverse=True):
        if len(json.dumps(clean)) <= LARGEST_METADATA:
            break
        del clean[name]
    return clean


def _text(value: str) -> str:
    # PostgreSQL's JSON knows no NUL, and no database half a surrogate pair.
    return str(value).replace("\0", "").encode(errors="replace").decode()
