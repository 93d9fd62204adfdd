"""``manage.py scan_models``: updates the registry from the files below MODELS_ROOT."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from models_registry.scanning.scan import scan


class Command(BaseCommand):
    help = (
        "Update the registry from MODELS_ROOT: hash and identify new or changed files, and mark missing ones."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--root", type=Path, help="folder to scan; default: MODELS_ROOT")
        parser.add_argument("--again", action="store_true", help="inspect unchanged files as well")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = scan(options["root"], again=options["again"])
        except (FileNotFoundError, NotADirectoryError) as error:
            raise CommandError(_("no such folder: %(path)s") % {"path": error.filename}) from error
        for path, reason in {**report.problems, **report.skipped}.items():
            self.stderr.write(f"{path}: {reason}")
        if options["verbosity"]:
            self.stdout.write(report.summary())
