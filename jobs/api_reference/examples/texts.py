"""A call as the text of a program, in each language."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from .call import SECRET_VARIABLE, Call
from .languages import LANGUAGES


@dataclass(frozen=True)
class Text:
    """The program of one language. ``file`` is the name under which it is saved."""

    key: str
    title: str
    file: str
    text: str


def texts(call: Call, secret: str = "") -> list[Text]:
    """The call in every language. The shell script sets the secret if it is given; the others read it there."""
    return [
        Text(each.key, each.title, each.file, _text(each.key, each.render(call), secret))
        for each in LANGUAGES
    ]


def _text(key: str, text: str, secret: str) -> str:
    return f"export {SECRET_VARIABLE}={shlex.quote(secret)}\n{text}" if secret and key == "curl" else text
