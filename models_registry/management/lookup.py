"""Helpers of the management commands for model files."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser

from models_registry.models import Kind, ModelFile


def add_file_arguments(parser: CommandParser) -> None:
    parser.add_argument("name", help="name in the registry, path below MODELS_ROOT, or SHA-256")
    parser.add_argument(
        "--kind", choices=[kind.value for kind in Kind], help="needed if files of several kinds have the name"
    )


def file_named(name: str, kind: str | None) -> ModelFile:
    """The file with this path, name or SHA-256, in this order. Raises CommandError for none, or for several."""
    files = ModelFile.objects.defer("metadata")
    if kind:
        files = files.filter(kind=kind)
    found = (
        list(files.filter(path=name))
        or list(files.filter(name=name))
        or (list(files.filter(sha256=name)) if name else [])
    )
    if not found:
        raise CommandError(f"model file not found: {name}")
    if len(found) > 1:
        choices = ", ".join(sorted(f"{file.kind}: {file.path}" for file in found))
        raise CommandError(f"{name} matches several files; use a path or --kind: {choices}")
    return found[0]
