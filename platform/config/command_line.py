"""Django's command line: ``manage.py`` in a checkout, ``atelier`` where the wheel is installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from quickstart.demo_environment import adopt


def main(root: Path | None = None) -> None:
    """``root`` is the folder of a checkout; without one, data is kept below the current directory."""
    adopt(os.environ, root or Path.cwd())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
