"""``manage.py add_model night.safetensors --kind lora``: copies a file into MODELS_ROOT and registers it."""

from __future__ import annotations

import json
import secrets
import shutil
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from gpu_runner.protocol.model_detection.tag_table import find_tag_table, table_names
from models_registry.models import FOLDERS, Kind, ModelFile
from models_registry.scanning import install_file
from models_registry.scanning.install_file import InstallError


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ArgumentTypeError(f"{text!r} is not a file")
    return path


class Command(BaseCommand):
    help = "Copy a model file into the folder of its kind below MODELS_ROOT, if it passes inspection, and register it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=_file)
        parser.add_argument("--kind", required=True, choices=list(FOLDERS))
        parser.add_argument("--name", help="file name below MODELS_ROOT; default: the name of FILE")

    def handle(self, *args: Any, file: Path, kind: str, name: str | None, **options: Any) -> None:
        try:
            row = _install_copy(file, kind, name or file.name)
        except (InstallError, OSError) as error:
            raise CommandError(str(error)) from error
        values = {"id": row.pk, "kind": row.kind, "name": row.name, "path": row.path, "sha256": row.sha256}
        self.stdout.write(json.dumps(values, ensure_ascii=False))


def _install_copy(file: Path, kind: str, name: str) -> ModelFile:
    install_file.check(kind, name, file.stat().st_size, limited=False)
    folder = settings.MODELS_ROOT / FOLDERS[kind]
    part = folder / f".copy-{secrets.token_hex(8)}{Path(name).suffix.lower()}"
    table = find_tag_table(file) if kind == Kind.TAGGER else None
    table_copy = folder / table_names(name)[0]
    try:
        if table is not None:
            shutil.copyfile(table, table_copy)
        shutil.copyfile(file, part)
        return install_file.install(part, kind, name)
    except BaseException:
        if table is not None:
            table_copy.unlink(missing_ok=True)
        raise
    finally:
        part.unlink(missing_ok=True)
