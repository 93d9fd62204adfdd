"""Registers a downloaded model file for the source that has loaded it, or for all sources.

The file's row is created before the file has its final name: a concurrent scan would register it for all sources.
"""

from __future__ import annotations

from pathlib import Path

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jobs.models.model_intake import ModelIntake
from models_registry.models import FOLDERS, Family, Kind, ModelFile
from models_registry.scanning import install_file
from models_registry.scanning.inspect_file import FileInfo
from models_registry.scanning.install_file import InstallError

from .download import Part
from .submission import KINDS


def install(intake: ModelIntake, part: Part) -> ModelFile:
    """Inspect the file and register it. Raises InstallError; the caller then has to delete ``part``."""
    info = install_file.inspected(part.file, intake.kind)
    _check(intake, info)
    if returned := _deleted_before(intake, info):
        return returned
    row = _reserve(intake, info, part.suffix)
    try:
        install_file.create_folder(Path(row.path).parent)
        return install_file.place(part.file, row.path, info)
    except BaseException:
        release(intake)
        raise


def release(intake: ModelIntake) -> None:
    """Delete the row that was reserved for a file that did not come."""
    ModelFile.objects.filter(intakes=intake).exclude(missing_since=None).filter(sha256="").delete()


def _check(intake: ModelIntake, info: FileInfo) -> None:
    if info.kind not in KINDS:
        kinds = {"found": Kind(info.kind).label}
        raise InstallError(_("Files of the kind %(found)s are installed by operators only.") % kinds)
    if intake.families and info.family not in intake.families:
        families = {
            "found": Family(info.family).label,
            "expected": ", ".join(str(Family(name).label) for name in intake.families),
        }
        raise InstallError(_("The file is of the family %(found)s, not %(expected)s.") % families)
    present = ModelFile.objects.filter(sha256=info.sha256, missing_since=None, enabled=True)
    same = present.allowed_for(intake.source).first()
    if same is not None:
        raise InstallError(_("The same file is available already, as %(name)s.") % {"name": same.name})


def _deleted_before(intake: ModelIntake, info: FileInfo) -> ModelFile | None:
    """The same file, which the source has loaded and deleted before: enabled again."""
    own = ModelFile.objects.filter(intakes__source=intake.source, enabled=False, missing_since=None)
    row = own.filter(sha256=info.sha256, kind=info.kind, intakes__name=intake.name).first()
    if row is not None:
        ModelFile.objects.filter(pk=row.pk).update(enabled=True)
        row.enabled = True
    return row


def _reserve(intake: ModelIntake, info: FileInfo, suffix: str) -> ModelFile:
    """The row of the future file, which counts as missing until then."""
    folder = FOLDERS[info.kind]
    if not intake.is_shared:
        folder = f"{folder}/{intake.source.name}"
    path = f"{folder}/{intake.name}{suffix}"
    left = ModelFile.objects.filter(path=path, intakes=intake).exclude(missing_since=None).first()
    if left is not None:  # by an attempt that was interrupted
        return left
    row = ModelFile(kind=info.kind, family=info.family, path=path, missing_since=timezone.now())
    row.name = _free_name(intake, info.kind)
    row.aliases = [name for name in (intake.name, intake.title) if name and name != row.name]
    try:
        with transaction.atomic():
            row.save()
            if not intake.is_shared:
                row.allowed_sources.add(intake.source)
            ModelIntake.objects.filter(pk=intake.pk).update(file=row)
    except IntegrityError:
        raise InstallError(
            _("Another file has the name %(name)s, perhaps one that was deleted. Choose another name.")
            % {"name": intake.name}
        ) from None
    return row


def _free_name(intake: ModelIntake, kind: str) -> str:
    """The requested name; if a file of another source has it, that and the name of this source."""
    taken = ModelFile.objects.filter(kind=kind, name=intake.name).exists()
    return f"{intake.source.name}/{intake.name}" if taken and not intake.is_shared else intake.name
