"""Installs a new model file below MODELS_ROOT, if it passes inspection. Existing files are never overwritten."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from models_registry.models import FOLDERS, Kind, ModelFile

from .file_discovery import SUFFIXES, path_problem
from .inspect_file import FileInfo, inspect_file
from .scan import register_file

MIN_FREE_BYTES = 256 * 1024 * 1024  # left free for the rest of the platform
MAX_NAME_BYTES = 200


class InstallError(Exception):
    """The file was refused. ``message`` is for the user; ``received``: bytes of the upload, if it can be resumed."""

    def __init__(self, message: str, *, received: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.received = received


def check(kind: str, name: str, size: int, *, limited: bool = True) -> None:
    """Check kind, name, size and free disk space before the file is transferred. Raises InstallError.

    ``limited``: apply MODEL_UPLOAD_MAX_BYTES.
    """
    if kind not in FOLDERS:
        raise InstallError(_("Unknown kind of model."))
    _check_name(name)
    _check_size(size, settings.MODEL_UPLOAD_MAX_BYTES if limited else size)
    if (settings.MODELS_ROOT / FOLDERS[kind] / name).exists():
        raise _name_taken(name)
    folder = create_folder(FOLDERS[kind])
    if shutil.disk_usage(folder).free < size + MIN_FREE_BYTES:
        raise disk_full()


def install(part: Path, kind: str, name: str) -> ModelFile:
    """Inspect a complete file, move it to its final name and register it.

    Raises InstallError; the caller then has to delete ``part``.
    """
    path = f"{FOLDERS[kind]}/{name}"
    info = inspected(part, kind, path)
    same = ModelFile.objects.filter(sha256=info.sha256, missing_since=None).first()
    if same is not None:
        raise InstallError(_("The same file already exists as %(path)s.") % {"path": same.path})
    return place(part, path, info)


def inspected(part: Path, kind: str, path: str = "") -> FileInfo:
    """The findings in a complete file below MODELS_ROOT. ``kind``: what it has to be; empty: any known kind.

    ``path``: where the file will be, if that is known. Raises InstallError if it cannot be used, or is of another kind.
    """
    root = settings.MODELS_ROOT
    info = inspect_file(root, part.relative_to(root).as_posix(), path)
    if info.problem:
        raise InstallError(info.problem)
    if info.kind == Kind.UNKNOWN:
        raise InstallError(_("The tensors of the file match no supported kind of model."))
    if kind and info.kind != kind:
        kinds = {"found": Kind(info.kind).label, "selected": Kind(kind).label}
        raise InstallError(_("The file is of the kind %(found)s, not %(selected)s.") % kinds)
    return info


def place(part: Path, path: str, info: FileInfo) -> ModelFile:
    """Move an inspected file to its path below MODELS_ROOT, whose folder exists, and register it. Raises InstallError."""
    _rename(part, settings.MODELS_ROOT / path)
    return register_file(path, info)


def disk_full() -> InstallError:
    return InstallError(_("There is not enough disk space in the models folder."))


def _check_name(name: str) -> None:
    if not name or name != Path(name).name or name.startswith(".") or path_problem(name):
        raise InstallError(
            _(
                "Invalid file name: folders, a leading dot, backslashes and control characters are not allowed."
            )
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        raise InstallError(_("The name must have at most %(limit)d bytes.") % {"limit": MAX_NAME_BYTES})
    if Path(name).suffix.lower() not in SUFFIXES:
        endings = {"endings": ", ".join(sorted(SUFFIXES))}
        raise InstallError(_("The file name must end with one of: %(endings)s.") % endings)


def _check_size(size: int, max_bytes: int) -> None:
    if size < 1:
        raise InstallError(_("The file is empty."))
    if size > max_bytes:
        sizes = {"limit": filesizeformat(max_bytes), "size": filesizeformat(size)}
        raise InstallError(_("The file must have at most %(limit)s (got %(size)s).") % sizes)


def create_folder(path: str | Path) -> Path:
    """The folder with this path below MODELS_ROOT, created if it is missing. Raises InstallError."""
    folder = Path(settings.MODELS_ROOT) / path
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InstallError(_("The models folder is not writable.")) from error
    return folder


def _rename(part: Path, target: Path) -> None:
    """Rename atomically, without replacing an existing file: link() fails if the target exists, rename() does not."""
    part.chmod(0o644)
    try:
        os.link(part, target)
        part.unlink()
    except FileExistsError:
        raise _name_taken(target.name) from None
    except OSError:  # no hard links on this file system: reserve the name first
        try:
            target.touch(exist_ok=False)
        except FileExistsError:
            raise _name_taken(target.name) from None
        part.replace(target)


def _name_taken(name: str) -> InstallError:
    return InstallError(_("A file named %(name)s already exists.") % {"name": name})
