"""What commands about model files have in common."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser

from models_registry.models import Kind, ModelFile


def add_file_arguments(parser: CommandParser) -> None:
    parser.add_argument("name", help="the registry's name, the path below MODELS_ROOT, or the SHA-256")
    parser.add_argument(
        "--kind", choices=[kind.value for kind in Kind], help="where several kinds have the name"
    )


def file_named(name: str, kind: str | None) -> ModelFile:
    files = ModelFile.objects.defer("metadata")
    if kind:
        files = files.filter(kind=kind)
    found = (
        list(files.filter(path=name))
        or list(files.filter(name=name))
        or (list(files.filter(sha256=name)) if name else [])
    )
    if not found:
        raise CommandError(f"there is no model file {name}")
    if len(found) > 1:
        choices = ", ".join(sorted(f"{file.kind}: {file.path}" for file in found))
        raise CommandError(f"{name} names several files; give a path or --kind: {choices}")
    return found[0]
