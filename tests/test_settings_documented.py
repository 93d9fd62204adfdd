""".env.example lists exactly the variables that the platform reads."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READERS = [
    ROOT / "platform" / "config" / "settings.py",
    ROOT / "platform" / "config" / "management" / "commands" / "up.py",
    ROOT / "platform" / "quickstart" / "bootstrap.py",
    ROOT / "gunicorn.conf.py",
]


def variables_read() -> set[str]:
    source = "\n".join(path.read_text() for path in READERS)
    return set(re.findall(r"""\benv(?:iron)?\.\w+\(\s*"([A-Z0-9_]+)\"""", source))


def variables_documented() -> list[str]:
    return re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)


def test_every_variable_is_documented_once_and_read():
    assert sorted(variables_documented()) == sorted(variables_read())
