"""``manage.py add_model night.safetensors --kind lora``: copies a file to its place below MODELS_ROOT and registers it."""

from __future__ import annotations

import json
import secrets
import shutil
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from models_registry.models import FOLDERS, ModelFile
from models_registry.scanning import install_file
from models_registry.scanning.install_file import NotPlaced


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ArgumentTypeError(f"{text!r} is no file")
    return path


class Command(BaseCommand):
    help = "Copy a model file to its place below MODELS_ROOT and register it, if a scan would accept it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=_file)
        parser.add_argument("--kind", required=True, choices=list(FOLDERS))
        parser.add_argument("--name", help="another file name than its own")

    def handle(self, *args: Any, file: Path, kind: str, name: str | None, **options: Any) -> None:
        try:
            row = _placed(file, kind, name or file.name)
        except (NotPlaced, OSError) as error:
            raise CommandError(str(error)) from error
        shown = {"id": row.pk, "kind": row.kind, "name": row.name, "path": row.path, "sha256": row.sha256}
        self.stdout.write(json.dumps(shown, ensure_ascii=False))


def _placed(file: Path, kind: str, name: str) -> ModelFile:
    install_file.check(kind, name, file.stat().st_size, limited=False)
    hidden = f".copy-{secrets.token_hex(8)}{Path(name).suffix.lower()}"
    part = settings.MODELS_ROOT / FOLDERS[kind] / hidden
    try:
        shutil.copyfile(file, part)
        return install_file.settle(part, kind, name)
    finally:
        part.unlink(missing_ok=True)
