"""The programming languages of the examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .call import Call
from .curl import curl
from .java import java
from .javascript import javascript
from .python import python


@dataclass(frozen=True)
class Language:
    key: str
    title: str
    file: str  # name under which the example is saved
    render: Callable[[Call], str]


LANGUAGES = (
    Language("curl", "curl", "example.sh", curl),
    Language("python", "Python", "example.py", python),
    Language("javascript", "JavaScript", "example.mjs", javascript),
    Language("java", "Java", "Example.java", java),
)
