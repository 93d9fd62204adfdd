"""Django's command line: ``manage.py`` in a checkout, ``atelier`` where the wheel is installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from quickstart.demo_environment import load_demo_environment


def main(root: Path | None = None) -> None:
    """Run the command line. ``root``: folder of the checkout; default: the current directory, which then holds the data."""
    load_demo_environment(os.environ, root or Path.cwd())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
