#!/usr/bin/env python
"""Django's command line. ``platform/`` is a source root, appended to ``sys.path`` after the standard library."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main() -> None:
    sys.path.append(str(ROOT / "platform"))
    from config import command_line

    command_line.main(ROOT)


if __name__ == "__main__":
    main()
