from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from models_registry.scanning.scan import scan


class Command(BaseCommand):
    help = "Register the model files below MODELS_ROOT: find, hash, identify; mark those that are missing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--root", type=Path, help="another folder than MODELS_ROOT")
        parser.add_argument("--again", action="store_true", help="examine unchanged files as well")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = scan(options["root"], again=options["again"])
        except (FileNotFoundError, NotADirectoryError) as error:
            raise CommandError(_("no such folder: %(path)s") % {"path": error.filename}) from error
        for path, why in {**report.problems, **report.skipped}.items():
            self.stderr.write(f"{path}: {why}")
        if options["verbosity"]:
            self.stdout.write(report.summary())
