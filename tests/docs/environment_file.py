"""Environment files as systemd reads them (systemd.exec(5), ``EnvironmentFile=``), without its line continuations."""

from __future__ import annotations

import re
from pathlib import Path

_QUOTED = re.compile(r"""'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^'"\\]+)""", re.DOTALL)


def read(path: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        name, _separator, text = line.partition("=")
        values[name.strip()] = "".join(_part(found) for found in _QUOTED.finditer(text.strip()))
    return values


def _part(found: re.Match[str]) -> str:
    single, double, escaped, plain = found.groups()
    if double is not None:
        return re.sub(r'\\(["\\`$])', r"\1", double)
    return next(part for part in (single, escaped, plain) if part is not None)
