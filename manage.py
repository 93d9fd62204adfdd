#!/usr/bin/env python
"""Django's command line. ``platform/`` is a source root, appended to ``sys.path`` after the standard library."""

import os
import sys
from pathlib import Path


def main() -> None:
    root = Path(__file__).resolve().parent
    sys.path.append(str(root / "platform"))
    from quickstart.demo_environment import load_demo_environment

    load_demo_environment(os.environ, root)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
