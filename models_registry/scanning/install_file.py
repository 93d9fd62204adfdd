"""A new model file's way to its place below MODELS_ROOT: nothing is overwritten, and only what a scan would accept stays."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from models_registry.models import FOLDERS, Kind, ModelFile

from .file_discovery import SUFFIXES, why_not_storable
from .inspect_file import Findings, examine
from .scan import register

KEPT_FREE_BYTES = 256 * 1024 * 1024  # a full disk stops more than uploads
LONGEST_NAME = 200


class NotPlaced(Exception):
    """With a sentence for whoever brought the file. ``received``: where its upload stands, if that may go on."""

    def __init__(self, message: str, *, received: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.received = received


def check(kind: str, name: str, size: int, *, limited: bool = True) -> None:
    """All that can be said before the file is there; ``limited``: it comes over the network. Raises NotPlaced."""
    if kind not in FOLDERS:
        raise NotPlaced(_("There is no such kind of model."))
    _check_name(name)
    _check_size(size, settings.MODEL_UPLOAD_MAX_BYTES if limited else size)
    if (settings.MODELS_ROOT / FOLDERS[kind] / name).exists():
        raise _taken(name)
    folder = _made(settings.MODELS_ROOT / FOLDERS[kind])
    if shutil.disk_usage(folder).free < size + KEPT_FREE_BYTES:
        raise disk_full()


def settle(part: Path, kind: str, name: str) -> ModelFile:
    """Gives a whole file its name and its row. Raises NotPlaced; the part stays the caller's to remove."""
    root = settings.MODELS_ROOT
    findings = examine(root, part.relative_to(root).as_posix())
    _check_findings(findings, kind)
    path = f"{FOLDERS[kind]}/{name}"
    _rename(part, root / path)
    return register(path, findings)


def disk_full() -> NotPlaced:
    return NotPlaced(_("There is not enough room on the disk of the models."))


def _check_name(name: str) -> None:
    if not name or name != Path(name).name or name.startswith(".") or why_not_storable(name):
        raise NotPlaced(
            _("This is no name for a model file: no folders, no dot in front, no odd characters.")
        )
    if len(name.encode()) > LONGEST_NAME:
        raise NotPlaced(_("The name is too long."))
    if Path(name).suffix.lower() not in SUFFIXES:
        endings = {"endings": ", ".join(sorted(SUFFIXES))}
        raise NotPlaced(_("Model files end in one of: %(endings)s.") % endings)


def _check_size(size: int, most: int) -> None:
    if size < 1:
        raise NotPlaced(_("The file is empty."))
    if size > most:
        limit = {"limit": filesizeformat(most)}
        raise NotPlaced(
            _("The file is larger than %(limit)s, which is the most that may be uploaded.") % limit
        )


def _check_findings(found: Findings, kind: str) -> None:
    if found.problem:
        raise NotPlaced(found.problem)
    if found.kind == Kind.UNKNOWN:
        raise NotPlaced(_("Its tensors are those of no kind of model that is known here."))
    if found.kind != kind:
        words = {"found": Kind(found.kind).label, "asked": Kind(kind).label}
        raise NotPlaced(_("By its tensors this is: %(found)s. It was sent as: %(asked)s.") % words)
    same = ModelFile.objects.filter(sha256=found.sha256, missing_since=None).first()
    if same is not None:
        raise NotPlaced(_("The same file is already here as %(path)s.") % {"path": same.path})


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotPlaced(_("The folder of the models cannot be written to.")) from error
    return folder


def _rename(part: Path, target: Path) -> None:
    """Whole or not at all, and never over another file: a link fails where a rename would replace."""
    part.chmod(0o644)
    try:
        os.link(part, target)
        part.unlink()
    except FileExistsError:
        raise _taken(target.name) from None
    except OSError:  # a file system without links; the name is taken first
        try:
            target.touch(exist_ok=False)
        except FileExistsError:
            raise _taken(target.name) from None
        part.replace(target)


def _taken(name: str) -> NotPlaced:
    return NotPlaced(_("There is a file of the name %(name)s already.") % {"name": name})
